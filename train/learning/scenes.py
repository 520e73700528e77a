# SPDX-License-Identifier: Apache-2.0
"""Examples of the mixed sound, to listen to and to look at: wakestate data scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.hostlib import Extractor
from wakestate.files import write_atomically
from wakestate.train.acoustics.stage import Stage, active_rms, dbfs, to_int16
from wakestate.train.artifacts import write_wav
from wakestate.train.data.corpus import RATE, Corpus
from wakestate.train.learning.pool import Renderer, window_ends
from wakestate.words import Word, state_fields

STREAM_LEVEL_DBFS = -30.0
STAY_S = 6.0  # in each device state of the stream


def write_scenes(corpus: Corpus, word: Word, out: Path, count: int, seed: int) -> list[Path]:
    """Write `count` training scenes, half of them with the word, as NN-KIND-STATE.wav; a picture
    of their features, scenes.png; and stream.wav, in which the device goes through its states,
    with stream.txt, which has the times. Returns what was written."""
    out.mkdir(parents=True, exist_ok=True)
    renderer = Renderer(corpus, word, "train")
    rng = np.random.default_rng([seed, 7])
    scenes, written = [], []
    for number in range(count):
        kind = "negative" if number % 2 else "positive"
        pcm, labels, state, place = renderer.scene(rng, kind)
        name = f"{number + 1:02d}-{kind}-{_file_name(word.states[state])}"
        written.append(out / f"{name}.wav")
        write_wav(written[-1], pcm)
        scenes.append((name, pcm, labels, place))
    pcm, marks = state_stream(renderer.stage, rng)
    written += [out / "stream.wav", out / "stream.txt", out / "scenes.png"]
    write_wav(out / "stream.wav", pcm)
    write_atomically(out / "stream.txt", "".join(f"{t:.3f} {state}\n" for t, state in marks))
    _picture(word, scenes, out / "scenes.png")
    return written


def state_stream(
    stage: Stage, rng: np.random.Generator
) -> tuple[NDArray[np.int16], list[tuple[float, str]]]:
    """The word again and again while the device goes through its states; (int16[samples], [(s,
    state)]). Its own sound is as loud as the middle of the volume's signal-to-echo range."""
    word, corpus = stage.word, stage.corpus
    positives = corpus.positives(word)
    level, samples = dbfs(STREAM_LEVEL_DBFS), int(STAY_S * RATE)
    parts, marks = [], []
    for number, state in enumerate(word.states):
        clip = positives[rng.integers(len(positives))]
        x = corpus.audio(clip).astype(np.float32)[:samples]
        x = stage.room(rng, x * np.float32(level / active_rms(x[clip.start : clip.end])))
        mix = np.zeros(samples, np.float32)
        at = (samples - len(x)) // 2
        mix[at : at + len(x)] = x
        own = stage.own_sound(rng, state, samples)
        if own is not None:
            volume = state_fields(state).get("volume", "")
            ranges = word.acoustics.signal_to_echo_db
            ratio = float(np.mean(ranges.get(volume, next(iter(ranges.values())))))
            mix += own * np.float32(level * 10 ** (-ratio / 20))
        parts.append(mix + rng.standard_normal(samples).astype(np.float32) * 3)
        marks.append((number * STAY_S, state))
    return to_int16(np.concatenate(parts)), marks


def _file_name(state: str) -> str:
    return "-".join(state_fields(state).values())


def _picture(
    word: Word,
    scenes: list[tuple[str, NDArray[np.int16], NDArray[np.int8], tuple[int, int]]],
    path: Path,
) -> None:
    """LFBE of every scene; lines where the word begins and ends, a bar where it may fire."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    extract = Extractor(word.frontend)
    rows = -(-len(scenes) // 4)
    figure, axes = pyplot.subplots(rows, 4, figsize=(15, 2.4 * rows), squeeze=False)
    for ax in axes.flat[len(scenes) :]:
        ax.axis("off")
    for ax, (name, pcm, labels, place) in zip(axes.flat, scenes, strict=False):
        features = extract.features(pcm)
        ax.imshow(
            features.T,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, len(pcm) / RATE, 0, word.frontend.bands),
        )
        for sample in place:
            if sample >= 0:
                ax.axvline(sample / RATE, color="white", linewidth=1)
        wanted = window_ends(word)[labels == 1]
        if len(wanted):
            ax.plot(wanted[[0, -1]], [1, 1], color="lime", linewidth=3)
        ax.set_title(name, fontsize=8)
        ax.tick_params(labelsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
