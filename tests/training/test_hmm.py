# SPDX-License-Identifier: Apache-2.0
"""The DNN-HMM that verifiers are compared with: paths through its states, and its phones."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from wakestate.train.data.corpus import DataError
from wakestate.verify.learning.hmm import decode, evidence, phones


def test_decoding_finds_the_word() -> None:
    rng = np.random.default_rng(4)
    states = 6
    gain = rng.normal(-1.0, 0.3, (3, 80, states)).astype(np.float32)
    bounds = np.array(
        [[20, 23, 30, 31, 40, 44, 50], [0, 5, 9, 13, 17, 21, 25], [50, 55, 60, 65, 70, 75, 80]]
    )
    for row, path in zip(gain, bounds, strict=True):
        for s in range(states):
            row[path[s] : path[s + 1], s] = 2.0
    top, path = decode(gain, 0.8)
    assert np.array_equal(path, bounds)
    lasts = np.diff(bounds, axis=1)
    expected = 2.0 * lasts.sum(axis=1) + np.log(0.8) * (lasts - 1).sum(axis=1) + 6 * np.log(0.2)
    np.testing.assert_allclose(top, expected, rtol=1e-4)
    facts = evidence(gain, top, path)
    assert facts.shape == (3, 2 * 2 + 2)
    np.testing.assert_allclose(facts[:, :2], 2.0, rtol=1e-4)
    np.testing.assert_allclose(facts[:, 2], np.log(bounds[:, 3] - bounds[:, 0]), rtol=1e-4)
    barred = np.where(np.arange(80)[None, :, None] < 5, gain, -np.inf)
    assert np.isinf(decode(barred, 0.8)[0]).all()  # too short for six states


def test_decoding_is_the_best_of_all_paths() -> None:
    gain = np.random.default_rng(5).normal(0, 1, (4, 9, 3)).astype(np.float32)
    top, path = decode(gain, 0.7)
    for row in range(4):
        best = -np.inf, ()
        for bounds in combinations(range(10), 4):
            value = sum(gain[row, bounds[s] : bounds[s + 1], s].sum() for s in range(3))
            value += np.log(0.7) * (bounds[3] - bounds[0] - 3) + 3 * np.log(0.3)
            best = max(best, (float(value), bounds))
        np.testing.assert_allclose(top[row], best[0], rtol=1e-5)
        assert tuple(path[row].tolist()) == best[1]


def test_phones_are_those_of_the_dictionary() -> None:
    assert phones("alexa") == ["AH", "L", "EH", "K", "S", "AH"]
    with pytest.raises(DataError, match="'qqzz': not in the CMU dictionary"):
        phones("hey qqzz")
