# SPDX-License-Identifier: Apache-2.0
"""What larger or more networks say of the scenes that a small one learns from (distillation)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.contract.metadata import metadata_width
from wakestate.files import replaced
from wakestate.train.data.corpus import DataError
from wakestate.train.learning.learner import learner
from wakestate.train.learning.pool import STEPS, Pool
from wakestate.train.model.network import SOFT_TARGET_LIMIT
from wakestate.train.model.saved import load_model
from wakestate.words import Word

AT_ONCE = 4000


def set_soft_targets(word: Word, pool: Pool, teachers: Sequence[Path], cached: Path) -> None:
    """Set `pool.soft` to the mean logit of the networks in `teachers`, .keras files of other runs;
    stored in the file `cached`. DataError names the teacher that does not fit."""
    if cached.is_file() and len(found := np.load(cached)) == len(pool):
        pool.soft_targets[:] = corrected(pool.labels, found)
        return
    total = np.zeros(pool.soft_targets.shape, np.float32)
    for path in teachers:
        teacher = learner(word, loaded(path, pool.features.shape[1:], metadata_width(word)))
        parts = np.array_split(np.arange(len(pool)), -(-len(pool) // AT_ONCE))
        for rows in tqdm(parts, f"{path} on {cached.stem}", unit="part"):
            logits = teacher.outputs(pool, rows)[:, :, 0]
            total[rows] += np.clip(logits, -SOFT_TARGET_LIMIT, SOFT_TARGET_LIMIT)
    mean = (total / len(teachers)).astype(pool.soft_targets.dtype)
    with replaced(cached) as partial:
        np.save(partial, mean)
    pool.soft_targets[:] = corrected(pool.labels, mean)


def corrected(labels: NDArray[np.int8], logits: NDArray[np.float16]) -> NDArray[np.float16]:
    """What teachers say of each step, but nowhere that the word is there where none may fire."""
    return np.where(labels == 0, np.minimum(logits, 0), logits)


def loaded(path: Path, shape: tuple[int, ...], width: int) -> Any:
    """A teacher that takes features of `shape` [hops, bands] and `width` of metadata."""
    try:
        model = load_model(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    x: NDArray[np.float32] = np.zeros((1, shape[0], 1, shape[1]), np.float32)
    try:
        steps = np.shape(model.predict_on_batch([x, np.zeros((1, width), np.float32)]))[1]
    except ValueError as error:
        raise DataError(f"{path}: takes other features or states: {error}") from None
    if steps != STEPS:
        raise DataError(
            f"{path}: makes {steps} steps of a scene, {STEPS} are needed: a teacher's "
            "stride and receptive field must be the word's"
        )
    return model


def identities(teachers: Sequence[Path]) -> list[str]:
    """A hash of each; DataError where one is missing."""
    for path in teachers:
        if not path.is_file():
            raise DataError(f"{path}: no such file; give the model.keras of another run")
    return [sha256(path.read_bytes()).hexdigest() for path in teachers]
