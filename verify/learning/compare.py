# SPDX-License-Identifier: Apache-2.0
"""Networks of the verifier and the DNN-HMM at equal misses: wakestate verifier compare.

The compiled device processes the streams and recordings of a split at a low threshold, as in
measure.py. Every network is asked about each wake, with the window where the
device reports the word's start and up to half a second off; its threshold is such that it rejects a
given share of the words, and the false accepts that it lets pass are counted. After Kumar et al.
(Interspeech 2020).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.convert.hostlib import Extractor
from wakestate.tables import Printed, pipe
from wakestate.train.artifacts import joined, save_arrays, write_json
from wakestate.train.data.corpus import RATE, DataError, find_manifest, load_corpus, voice
from wakestate.train.evaluation.device import Device, library_hash, wakes
from wakestate.train.evaluation.metrics import first_within, sweep
from wakestate.train.evaluation.trials import SER_DB, Condition, Trials, conditions
from wakestate.train.parallel import in_parallel
from wakestate.verify.learning.examples import LOWERED, WIDE, Examples, columns_of, seen, wide
from wakestate.verify.learning.fit import HMM
from wakestate.verify.learning.fitter import OFF
from wakestate.verify.service.infer import Network
from wakestate.words import Word

MISSED = (0.01, 0.02, 0.05)  # shares of the words that woke the device and are rejected
DRAWS = 500  # of speakers
AT_ONCE = 250
NEVER = 32767  # above all scores

Floats = NDArray[np.float64]


class Scorer(Protocol):
    """A network of the verifier, or the DNN-HMM."""

    def score(self, features: NDArray[Any]) -> tuple[Any, Any, Any]:
        """[n, FRAMES, bands] -> logit, start, end."""


class DetectorWakes:
    """The device and its input; finds its wakes in each condition."""

    def __init__(
        self, word: Word, library: Path, data: Path, split: str, cache: Path, rate: float
    ) -> None:
        self.word, self.rate = word, rate
        self.device = Device(library, word)
        self.trials = Trials(word, load_corpus(data, split, cache, word.data), seed=1, draws=3)
        self.extract = Extractor(word.frontend)

    def wakes(self, condition: Condition, with_stream: bool) -> tuple[Examples, float]:
        """Wakes on the words, and with `with_stream` on the stream, whose hours come second."""
        device, state = self.device, self.word.states.index(condition.state)
        processed = []
        for block in self.trials.blocks:
            stream = self.trials.stream(condition.sound.stream, block)
            processed.append((block, stream, device.steps(stream, state)))
        scores = np.concatenate([steps.scores for *_, steps in processed])
        threshold = lowest(device, scores, self.trials.hours, self.rate)
        rows: list[tuple[NDArray[np.int8], list[float], str, int]] = []
        newest = device.refractory_steps  # as of that wake
        for block, stream, steps in processed if with_stream else []:
            for i in wakes(steps.scores, threshold, newest):
                detected_start = int(steps.start[i])
                who = voice(block.place(detected_start)[0])
                best = int(steps.scores[i : i + newest].max())
                rows.append((self._wide(stream, detected_start), [float("nan")] * 2, who, best))
        for clip, pcm, start, end in self.trials.recordings(condition.sound):
            steps = device.steps(pcm, state)
            for i in wakes(steps.scores, threshold, device.refractory_steps):
                if start <= device.step_end(i) <= end + RATE:
                    detected_start = int(steps.start[i])
                    place = columns_of(self.word, detected_start, (start, end))
                    best = int(steps.scores[i : i + newest].max())
                    rows.append((self._wide(pcm, detected_start), place, voice(clip), best))
                    break
        bands = self.word.frontend.bands
        features = np.array([row[0] for row in rows], np.int8)
        examples = Examples(
            features.reshape(-1, WIDE, bands),
            np.array([row[1] for row in rows], np.float32).reshape(-1, 2),
            np.array([row[2] for row in rows], str),
            np.full(len(rows), condition.name),
            np.full(len(rows), LOWERED, np.int8),
            np.full(len(rows), state, np.uint8),
            np.array([row[3] for row in rows], np.int16),
        )
        return examples, self.trials.hours if with_stream else 0.0

    def _wide(self, pcm: NDArray[np.int16], detected_start: int) -> NDArray[np.int8]:
        """The same as examples.wide of the whole, without going through all of it."""
        begin = max(0, detected_start - 2 * RATE)
        return wide(self.extract, pcm[begin : begin + 5 * RATE], detected_start - begin)


def lowest(device: Device, scores: NDArray[np.int16], hours: float, rate: float) -> int:
    """The lowest threshold from which on a stream wakes the device at most `rate` times an hour."""
    thresholds = sweep(scores, NEVER)
    thresholds = thresholds[thresholds <= int(scores.max()) + 1]
    counts = [len(wakes(scores, int(t), device.refractory_steps)) for t in thresholds]
    return int(thresholds[first_within(np.array(counts) / hours, rate)])


def _wakes(detector: DetectorWakes, job: tuple[Condition, bool]) -> tuple[Examples, float]:
    return detector.wakes(*job)


def detector_wakes(
    word: Word, data: Path, split: str, cache: Path, library: Path, rate: float
) -> tuple[Examples, float]:
    """All wakes in the conditions of measure.py, and the hours of the streams; kept in
    `cache` for the same device, data and rate."""
    key = sha256(find_manifest(data).read_bytes())
    names_of = [field.name for field in fields(Examples)]
    key.update(
        f"{library_hash(library)} {word.model_dump_json()} {split} {rate} {names_of}".encode()
    )
    path = cache / f"wakes-{key.hexdigest()[:16]}.npz"
    if not path.is_file():
        jobs, processed = [], set()
        for condition in conditions(word, SER_DB):
            if condition.part in ("sound", "state"):
                stream = (condition.sound.stream, condition.state)
                jobs.append((condition, stream not in processed))
                processed.add(stream)
        detector = DetectorWakes(word, library, data, split, cache, rate)
        found = in_parallel(_wakes, jobs, f"wakes, {split}", "conditions", shared=detector)
        examples, hours = joined([c for c, _ in found if len(c)]), sum(h for _, h in found)
        arrays = {name: getattr(examples, name) for name in names_of}
        save_arrays(path, {**arrays, "hours": np.array(hours)})
    with np.load(path) as file:
        examples = Examples(*(file[name] for name in names_of))
        return examples, float(file["hours"])


@dataclass(frozen=True)
class ScoredRun:
    """What one trained run computes for all wakes, for each way of cutting."""

    kind: str
    trained: str
    seed: int
    logits: dict[str, Floats]


def score_run(folder: Path, examples: Examples) -> ScoredRun:
    """Ask the run in a folder. The starts are off by the same for every run of a seed."""
    config = folder / "config.json"
    train_config = json.loads(config.read_text())["train_config"]
    scorer: Scorer
    if train_config["kind"] == HMM:
        from wakestate.verify.learning.hmm import DnnHmm

        scorer = DnnHmm.load(folder / "verifier")
    else:
        scorer = Network.load(folder / "verifier")
    logits = {}
    for how, maximum in OFF.items():
        rng = np.random.default_rng([train_config["seed"], 11])
        off = (
            rng.uniform(-maximum, maximum, len(examples))
            if how == "misaligned"
            else np.zeros(len(examples))
        )
        parts = []
        for rows in np.array_split(np.arange(len(examples)), -(-len(examples) // AT_ONCE)):
            parts.append(scorer.score(seen(examples, rows, off[rows])[0].astype(np.float32))[0])
        logits[how] = np.concatenate(parts).astype(np.float64)
    return ScoredRun(train_config["kind"], train_config["windows"], train_config["seed"], logits)


def passed(logits: Floats, is_word: NDArray[np.bool_], missed: float, weight: Floats) -> Floats:
    """False accepts where a share of the words is rejected, float[draws].

    `weight` float[draws, n]: how often each wake counts in a draw. The threshold is the highest
    that rejects no more than the share.
    """
    order = np.argsort(logits[is_word])
    words, of_words = logits[is_word][order], weight[:, is_word][:, order]
    rejected = np.cumsum(of_words, axis=1) - of_words  # of the words below each
    allowed = rejected <= missed * of_words.sum(axis=1, keepdims=True)
    threshold = words[allowed.shape[1] - 1 - allowed[:, ::-1].argmax(axis=1)]
    over = logits[~is_word][None, :] >= threshold[:, None]
    return (weight[:, ~is_word] * over).sum(axis=1)


def draws(who: NDArray[np.str_], count: int) -> Floats:
    """float[1 + count, n]: the first counts each wake once, the others draw voices again."""
    names, index = np.unique(who, return_inverse=True)
    rng = np.random.default_rng([1, 12])
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
    return np.concatenate([np.ones((1, len(who))), drawn[:, index]]).astype(np.float64)


def table(scored: Sequence[ScoredRun], examples: Examples) -> list[dict[str, Any]]:
    """A row for each kind, way of training and way of cutting: false accepts left at each share of
    MISSED, mean over seeds, and how many fewer than the DNN-HMM of the same training."""
    weight = draws(examples.who, DRAWS)
    rows = []
    for how in OFF:
        by: dict[tuple[str, str], list[list[Floats]]] = {}
        seeds: dict[tuple[str, str], list[int]] = {}
        for run in scored:
            counts = [passed(run.logits[how], examples.is_word, m, weight) for m in MISSED]
            by.setdefault((run.kind, run.trained), []).append(counts)
            seeds.setdefault((run.kind, run.trained), []).append(run.seed)
        for (kind, trained), each in sorted(by.items()):
            mean = np.mean(each, axis=0)  # [MISSED, draws]
            row: dict[str, Any] = {
                "kind": kind,
                "trained": trained,
                "window": how,
                "seeds": seeds[kind, trained],
                "at": [],
            }
            base = by.get((HMM, trained))
            for i, missed in enumerate(MISSED):
                low, high = np.quantile(mean[i, 1:], [0.025, 0.975])
                at = {
                    "missed": missed,
                    "false_accepts": float(mean[i, 0]),
                    "low": low,
                    "high": high,
                    "of_seeds": [float(e[i][0]) for e in each],
                }
                if base and kind != HMM and (theirs := np.mean(base, axis=0)[i]).all():
                    fewer = 1 - mean[i] / theirs
                    low, high = np.quantile(fewer[1:], [0.025, 0.975])
                    at |= {"fewer": float(fewer[0]), "fewer_low": low, "fewer_high": high}
                row["at"].append(at)
            rows.append(row)
    return rows


def compare(
    word: Word,
    data: Path,
    split: str,
    cache: Path,
    library: Path,
    folder: Path,
    rate: float,
    out: Path,
) -> Printed:
    """Every finished run in `folder`; writes the same as JSON to `out`. DataError."""
    runs = sorted({path.parent.parent for path in folder.glob("*/verifier/*.json")})
    if not runs:
        raise DataError(f"{folder}: holds no run of `wakestate verifier train`")
    examples, hours = detector_wakes(word, data, split, cache, library, rate)
    if not examples.is_word.any() or examples.is_word.all():
        raise DataError(
            f"{library}: in {hours:.1f} h the device woke only on one sort; raise --rate"
        )
    scored = [score_run(run, examples) for run in tqdm(runs, desc="score", unit="run")]
    rows = table(scored, examples)
    facts = {
        "word": word.name,
        "split": split,
        "rate": rate,
        "hours": hours,
        "words": int(examples.is_word.sum()),
        "speakers": len(np.unique(examples.who[examples.is_word])),
        "false_accepts": int((~examples.is_word).sum()),
        "library_sha256": library_hash(library),
        "rows": rows,
    }
    write_json(out, facts)
    return Printed(markdown(facts), facts)


def markdown(facts: dict[str, Any]) -> str:
    """The table of docs/experiments/verification.md."""
    text = (
        f"{facts['words']} wakes on the word by {facts['speakers']} voices, "
        f"{facts['false_accepts']} on something else in {facts['hours']:.1f} h of streams."
    )
    head = ["network", "trained on windows", "asked on windows"]
    for m in MISSED:
        head += [f"{m:.0%} missed: false accepts", "fewer than DNN-HMM"]
    rows = []
    for row in facts["rows"]:
        cells = []
        for at in row["at"]:
            cells.append(f"{at['false_accepts']:.1f} [{at['low']:.0f}, {at['high']:.0f}]")
            cells.append(
                f"{100 * at['fewer']:.0f} % [{100 * at['fewer_low']:.0f}, "
                f"{100 * at['fewer_high']:.0f}]"
                if "fewer" in at
                else "-"
            )
        rows.append([row["kind"], row["trained"], row["window"], *cells, str(len(row["seeds"]))])
    return f"{text}\n\n{pipe([*head, 'seeds'], rows)}"
