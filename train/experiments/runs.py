# SPDX-License-Identifier: Apache-2.0
"""Trainings of an experiment, variants and seeds, side by side: each is a task of one core.

All learn from the same scenes. A task is a process of its own with one thread, so that its bytes
do not depend on the machine's cores, nor on what runs beside it. It trains in the run's own folder
where the worker has that, and a killed one continues there; else in a folder that goes with it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wakestate.files import write_atomically
from wakestate.processes import end_with_parent
from wakestate.train.address import PROCESSES, executor
from wakestate.train.artifacts import keep_config
from wakestate.train.data.corpus import DataError, load_corpus
from wakestate.train.learning.pool import SHARD, read_pool
from wakestate.train.parallel import in_parallel
from wakestate.train.parcels import Files
from wakestate.words import Word

if TYPE_CHECKING:  # it loads TensorFlow, which the one that starts a training needs not
    from wakestate.train.learning.fit import Budget

FIRST = 1000  # seed of the scenes
MADE = ("config.json", "curve.csv", "result.json", "calibration.npy", "model.keras")
_ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "NPROC": "1",  # XLA's
}
_MEMORY = 1 << 30  # of a training, besides its scenes


@dataclass(frozen=True)
class Plan:
    """What all trainings of an experiment share."""

    word: Word
    budget: Budget
    manifest_sha256: str
    place: Path  # with a folder VARIANT-SEED for each
    scenes: Files | Path  # where they are, on a worker
    pools: tuple[tuple[str, str, int], ...]  # part, kind, clips
    backend: str  # of Keras

    def of(self, variant: str, seed: int) -> tuple[Word, Budget]:
        """Of one training."""
        model = self.word.model.model_copy(update={"conditioning": variant})
        return self.word.model_copy(update={"model": model}), replace(self.budget, seed=seed)


def train_all(
    word: Word,
    data: Path,
    also: Sequence[Path],
    cache: Path,
    place: Path,
    jobs: Sequence[tuple[str, int]],
    amount: float,
    **budgeted: int,
) -> None:
    """Train the variants and seeds of `jobs`, into `place`/VARIANT-SEED; finished ones stay.

    On `amount` of the usual scenes, else as `budgeted` (fit.Budget). Raises DataError.
    """
    missing = [job for job in jobs if not (_folder(place, job) / "model.keras").is_file()]
    if not missing:
        return
    import keras

    from wakestate.train.learning.fit import Budget, render_pools, settings

    budget = Budget(**budgeted).times(amount)
    scenes = place / "pool"
    corpus = load_corpus(data, "train", cache, word.data, also)
    rendered = render_pools(corpus, word, scenes, budget, FIRST)
    pools = tuple((part, kind, len(pool)) for (part, kind), pool in rendered.items())
    size = sum(pool.features.nbytes for pool in rendered.values())
    del rendered
    names = [f"{part}-{kind}-{n:03d}.npz" for part, kind, clips in pools for n in _shards(clips)]
    plan = Plan(
        word,
        budget,
        settings(word, data, budget, also)["manifest_sha256"],
        place.absolute(),
        Files(scenes.absolute(), tuple(names)),
        pools,
        keras.backend.backend(),
    )

    def keep(job: tuple[str, int], made: dict[str, bytes]) -> None:
        for name, content in made.items():  # model.keras last: it says that all is there
            write_atomically(_folder(place, job) / name, content)

    limit = max(1, _memory() // (3 * size + _MEMORY))
    if plan.backend == "jax" and executor() == PROCESSES:
        limit = 1  # an accelerator is one
    in_parallel(
        train_there, missing, "train", "networks", shared=plan, keep=keep, limit=limit, stored=True
    )


def train_there(plan: Plan, job: tuple[str, int]) -> dict[str, bytes]:
    """One training on a worker: its files. DataError with the reason where it fails."""
    scenes = plan.scenes.folder if isinstance(plan.scenes, Files) else plan.scenes
    with tempfile.TemporaryDirectory(prefix="wakestate-") as own:
        run = _folder(plan.place if scenes.parent == plan.place else Path(own), job)
        run.mkdir(parents=True, exist_ok=True)
        given = pickle.dumps((replace(plan, scenes=scenes), job, run))
        done = subprocess.run(
            [sys.executable, "-m", "wakestate.train.experiments.runs"],
            input=given,
            capture_output=True,
            check=False,
            env={**os.environ, **_ONE_CORE, "KERAS_BACKEND": plan.backend},
        )
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise DataError(f"training of {run.name} ended with {done.returncode}: {''.join(last)}")
        return {name: (run / name).read_bytes() for name in MADE}


def _train(plan: Plan, job: tuple[str, int], run: Path) -> None:
    """In the process of a task."""
    from wakestate.train.learning.fit import learn

    word, budget = plan.of(*job)
    assert isinstance(plan.scenes, Path)
    config: dict[str, Any] = {"word": word.model_dump(mode="json"), "budget": asdict(budget)}
    config["manifest_sha256"] = plan.manifest_sha256
    keep_config(run / "config.json", config, "this run was started")
    pools = {
        (part, kind): read_pool(
            word, [plan.scenes / f"{part}-{kind}-{n:03d}.npz" for n in _shards(clips)], clips
        )
        for part, kind, clips in plan.pools
    }
    learn(word, run, budget, pools)


def _folder(place: Path, job: tuple[str, int]) -> Path:
    return place / f"{job[0]}-{job[1]}"


def _shards(clips: int) -> range:
    return range(-(-clips // SHARD))


def _memory() -> int:
    """Of this machine, bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


if __name__ == "__main__":
    end_with_parent()
    _train(*pickle.load(sys.stdin.buffer))
