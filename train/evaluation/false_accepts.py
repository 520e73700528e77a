# SPDX-License-Identifier: Apache-2.0
"""Every false accept by its name: recording, time, state, score; and its sound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wakestate.train.artifacts import write_wav
from wakestate.train.data.corpus import RATE
from wakestate.train.evaluation.device import OURS, wakes
from wakestate.train.evaluation.document import FalseAccept
from wakestate.train.evaluation.trials import Sound, Trials

if TYPE_CHECKING:
    from wakestate.train.evaluation.listening import Evaluation, Played
    from wakestate.train.evaluation.thresholds import Counts

NAMED_AT = 0.5  # FA/h; stricter thresholds wake at some of the same places
BEFORE_S, AFTER_S = 2.0, 0.5  # of a wake, in its clip


def false_accepts(
    evaluation: Evaluation, played: list[Played], counts: Counts
) -> list[FalseAccept]:
    """The device's on every stream, in each state, at the lowest threshold that counts there: as
    shipped, or as either half sets it for NAMED_AT or the word's rate. Highest scores first.

    `at_s`: of the wake, from the recording's start, past its end where the wake is in the gap;
    `score`: the highest within the refractory time, so it wakes at every threshold up to that.
    """
    found = []
    device, word = evaluation.device, evaluation.word
    rates = {NAMED_AT, word.detector.false_accepts_per_hour}
    seen = set()
    for c in evaluation.conditions:
        state, sound = word.states.index(c.state), c.sound.stream
        if (sound, state) in seen:
            continue
        seen.add((sound, state))
        of_state = counts.pooled(OURS, c.state)
        limits = [of_state.threshold(r, half) for r in rates for half in (0, 1)]
        lowest = min(*limits, counts.ships[c.state])
        for part in played:
            if part.block is None or part.sound != sound or (OURS, state) not in part.scores:
                continue
            scores = part.scores[OURS, state][0]
            for step in wakes(scores, lowest, device.refractory_steps):
                sample = device.step_end(step)
                clip, at_s = part.block.place(sample)
                best = scores[step : step + device.refractory_steps].max()
                found.append(
                    FalseAccept(
                        file=clip.path,
                        folder=clip.folder,
                        at_s=round(at_s, 2),
                        score=int(best),
                        state=c.state,
                        plays=sound.plays,
                        ser_db=sound.ser_db,
                        altered=sound.altered,
                        kind=clip.kind,
                        half=part.block.half,
                        text=clip.text,
                        block=part.block.number,
                        sample=sample,
                    )
                )
    return sorted(found, key=lambda f: (f.state, -f.score, f.block, f.sample))


def write_clips(trials: Trials, found: list[FalseAccept], out: Path) -> list[Path]:
    """The sound of false accepts as NNN-STATE-FILE-TIME.wav, up to AFTER_S after the wake."""
    streams: dict[tuple[Sound, int], list[tuple[int, FalseAccept]]] = {}
    for number, accept in enumerate(found, 1):
        sound = Sound(plays=accept.plays, ser_db=accept.ser_db, altered=accept.altered)
        streams.setdefault((sound, accept.block), []).append((number, accept))
    written = []
    for (sound, block), accepts in streams.items():
        pcm = trials.stream(sound, trials.block(block))
        for number, accept in accepts:
            first = max(0, accept.sample - int(BEFORE_S * RATE))
            state = re.sub(r"\w+=", "", accept.state).replace(",", "-")
            stem = re.sub(r"[^\w-]", "_", Path(accept.file).stem)[:60]
            path = out / f"{number:03d}-{state}-{stem}-{accept.at_s:.2f}s.wav"
            part = pcm[first : accept.sample + int(AFTER_S * RATE)]
            write_wav(path, np.ascontiguousarray(part))
            written.append(path)
    return sorted(written)
