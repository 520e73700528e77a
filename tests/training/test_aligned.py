# SPDX-License-Identifier: Apache-2.0
"""Telling the word's start and end in two ways, on outputs written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wakestate.train.experiments.aligned import AT, Outputs, aligned_loss, places

UNIT, STEP = 960, 480  # samples
START, END = 8000, 16000


def outputs_of() -> Outputs:
    """20 steps of both methods' outputs for a word from START to END."""
    ends = 14000 + STEP * np.arange(20)
    outputs = np.full((20, 3), -5.0)
    outputs[7:, 0] = 5.0
    outputs[:, 1] = (ends - START) / UNIT
    outputs[:, 2] = (ends - END) / UNIT
    return Outputs(outputs, ends, START, END)


def test_regression_reports_the_place_at_the_wake() -> None:
    one = outputs_of()
    wake = one.wake(smoothing=3)
    assert wake == 8  # two of three steps over 0
    assert places(one, wake, "newest", UNIT, 3) == pytest.approx((START, END))
    assert places(one, wake, "mean", UNIT, 3) == pytest.approx((START, END))
    one.outputs[wake, 1:] += 3.0  # a step that errs: the mean errs by a third
    assert places(one, wake, "mean", UNIT, 3) == pytest.approx((START - UNIT, END - UNIT))


def test_a_detector_reports_the_place_by_its_highest_step() -> None:
    one = outputs_of()
    one.outputs[:, 1:] = -5.0
    for channel, place in ((1, START), (2, END)):
        fires = np.abs(one.ends - place - AT[channel - 1] * UNIT).argmin()
        one.outputs[fires, channel] = 4.0
    start, end = places(one, 8, "aligned", UNIT, 3)
    assert abs(start - START) <= STEP / 2 and abs(end - END) <= STEP / 2


def test_no_wake_outside_the_word() -> None:
    one = outputs_of()
    one.outputs[:, 0] = -1.0
    assert one.wake(smoothing=3) is None
    one.outputs[0:2, 0] = 9.0  # not all of the smoothed steps are there
    assert one.wake(smoothing=3) == 2


def test_aligned_detectors_learn_to_fire_at_their_time() -> None:
    targets = np.full((2, 6, 3), np.nan, np.float32)
    targets[:, :, 0] = [[-1, -1, 1, -1, -1, -1], [0] * 6]
    for channel in (0, 1):
        targets[0, :, 1 + channel] = AT[channel] + 0.5 * np.arange(-2, 4)
    losses = {}
    for fires in (2, 5):
        outputs = np.zeros((2, 6, 1, 3), np.float32)
        outputs[0, fires, 0, 1:] = 5.0
        losses[fires] = np.asarray(aligned_loss(targets, outputs))
    flat = np.asarray(aligned_loss(targets, np.zeros((2, 6, 1, 3), np.float32)))
    assert losses[2][0] < flat[0] < losses[5][0]
    assert flat[1] == pytest.approx(2 * np.log(2), rel=1e-5)  # nothing may fire
