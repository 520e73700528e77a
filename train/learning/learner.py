# SPDX-License-Identifier: Apache-2.0
"""A network on pools of scenes: what it computes for them, and learning from them.

With TensorFlow Keras does both, batch by batch. With JAX the scenes are on the accelerator and one
compiled loop makes the batches and learns from them: the same batches, made of the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wakestate.contract.metadata import ENDPOINT_HOPS, metadata_vectors
from wakestate.train.data.corpus import RATE
from wakestate.train.learning.augment import Changes, change, warp_matrices
from wakestate.train.learning.loop import train_batches
from wakestate.train.learning.pool import Pool, on_devices, window_ends
from wakestate.train.learning.prefetch import prefetched
from wakestate.words import Word

FEATURE_SCALE = np.float32(1 / 32)
CLIPS = 500  # scored at once
BATCHES = 100  # that JAX learns from between two checks for a stop
ENDPOINT_RANGE = (-4.0, 16.0)  # units, the range of the network's endpoints


def use_all_devices(batch: int) -> None:
    """Where JAX has several accelerators, networks made from now on learn on all of them: each has
    the weights and the scenes, and computes its share of every batch of `batch` clips."""
    if keras.backend.backend() != "jax":
        return
    count = len(keras.distribution.list_devices())
    if count > 1 and batch % count == 0:
        keras.distribution.set_distribution(keras.distribution.DataParallel())


def _shared_out(x: Any) -> Any:
    """A batch whose clips are on all devices, each on one; itself, where there is one device."""
    over = keras.distribution.distribution()
    if over is None or x.shape[0] % over.device_mesh.shape[0]:
        return x
    return keras.distribution.distribute_tensor(x, over.get_data_layout(x.shape))


class Batch(NamedTuple):
    """A batch: rows of the scenes with the word, of those without, and changes to them all."""

    positive: NDArray[np.intp]
    negative: NDArray[np.intp]
    changes: Changes


def targets(word: Word, pool: Pool, pick: NDArray[Any], distill: bool) -> NDArray[np.float32]:
    """What window_loss takes: float32[n, steps, 3], or 4 with teachers."""
    f = word.frontend
    unit = ENDPOINT_HOPS * f.hop_samples / f.sample_rate
    words = np.where(pool.words[pick] >= 0, pool.words[pick] / RATE, np.nan)
    off = (window_ends(word)[None, :, None] - words[:, None, :]) / unit
    low, high = ENDPOINT_RANGE
    seen = ((off >= low) & (off <= high)).all(axis=2, keepdims=True)
    labels = pool.labels[pick].astype(np.float32)[:, :, None]
    parts = [labels, np.where(seen, off, np.nan).astype(np.float32)]
    if distill:
        parts.append(pool.soft_targets[pick, :, None].astype(np.float32))
    return np.concatenate(parts, axis=2)


def _scored(parts: Sequence[NDArray[np.intp]]) -> Iterable[NDArray[np.intp]]:
    """The same, under a progress bar where it takes long."""
    return tqdm(parts, "score", unit="part", leave=False, disable=len(parts) < 10)


class Learner:
    """A `model` on any backend of Keras. To learn it must be compiled, with a loss function that
    gives a loss for each clip. `distill`: whether it learns soft targets as well."""

    def __init__(self, word: Word, model: keras.Model, distill: bool = False) -> None:
        self.word, self.model, self.distill = word, model, distill
        self.meta = metadata_vectors(word)
        self.warps = warp_matrices(word.frontend)

    def outputs(self, pool: Pool, clips: NDArray[np.intp]) -> NDArray[np.float32]:
        """Logit, start and end at every step of the given clips, float32[n, steps, 3]."""
        parts = []
        for pick in _scored(np.array_split(clips, -(-len(clips) // CLIPS))):
            x = pool.features[pick].astype(np.float32)[:, :, None, :] * FEATURE_SCALE
            predicted = self.model.predict_on_batch([x, self.meta[pool.states[pick]]])
            parts.append(np.asarray(predicted)[:, :, 0])
        return np.concatenate(parts)

    def learn(
        self,
        draw: Callable[[], Batch],
        count: int,
        positive: Pool,
        negative: Pool,
        what: str,
        on_batch: Callable[[], None],
    ) -> list[float]:
        """Learn from `count` batches; their losses. `what` is the progress bar's label; `on_batch`
        is called now and then, and may raise."""
        make = lambda: self._batch(draw(), positive, negative)  # noqa: E731
        return train_batches(self.model, make, count, what, on_batch)

    def _batch(
        self, batch: Batch, positive: Pool, negative: Pool
    ) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
        """Inputs and targets."""
        parts = ((positive, batch.positive), (negative, batch.negative))
        x = np.concatenate([pool.features[pick] for pool, pick in parts]).astype(np.float32)
        x = change(x * FEATURE_SCALE, batch.changes, self.warps)
        states = np.concatenate([pool.states[pick] for pool, pick in parts])
        y = [targets(self.word, pool, pick, self.distill) for pool, pick in parts]
        return [x[:, :, None, :], self.meta[states]], np.concatenate(y)


class JaxLearner(Learner):
    """The same on JAX."""

    def __init__(self, word: Word, model: keras.Model, distill: bool = False) -> None:
        super().__init__(word, model, distill)
        import jax

        self._predict_compiled, self._round = jax.jit(self._predict), jax.jit(self._learned)
        self._targets: dict[int, tuple[Pool, Any]] = {}  # the pool too, so that no other has its id

    def _weights(self) -> tuple[list[Any], list[Any]]:
        model = self.model
        return (
            [v.value for v in model.trainable_variables],
            [v.value for v in model.non_trainable_variables],
        )

    def outputs(self, pool: Pool, clips: NDArray[np.intp]) -> NDArray[np.float32]:
        """See Learner."""
        whole = np.resize(clips, (-(-len(clips) // CLIPS), CLIPS))  # one shape, compiled once
        predicted = [
            self._predict_compiled(*self._weights(), *pool.on_jax, pick)
            for pick in _scored(list(whole))
        ]
        return np.concatenate([np.asarray(part) for part in predicted])[: len(clips)]

    def _predict(self, trained: Any, other: Any, features: Any, states: Any, pick: Any) -> Any:
        x = _shared_out(features[pick].astype("float32")[:, :, None, :] * FEATURE_SCALE)
        predicted, _ = self.model.stateless_call(trained, other, [x, self._vectors(states[pick])])
        return predicted[:, :, 0]

    def _vectors(self, states: Any) -> Any:
        return keras.ops.take(self.meta, states, axis=0)

    def learn(
        self,
        draw: Callable[[], Batch],
        count: int,
        positive: Pool,
        negative: Pool,
        what: str,
        on_batch: Callable[[], None],
    ) -> list[float]:
        """See Learner."""
        import jax

        optimizer = self.model.optimizer
        variables = [v.value for v in optimizer.variables]
        state = (*self._weights(), variables)
        pools = [(*pool.on_jax, self._targets_of(pool)) for pool in (positive, negative)]
        at_once = min(BATCHES, count)
        make = lambda: jax.tree.map(lambda *a: np.stack(a), *(draw() for _ in range(at_once)))  # noqa: E731
        losses: list[float] = []
        with tqdm(total=count, desc=what, unit="batch") as bar:
            for batch in prefetched(make, -(-count // at_once)):
                left = min(at_once, count - len(losses))
                taken = jax.tree.map(lambda a, n=left: a[:n], batch)
                state, lost = self._round(state, taken, *pools)
                losses += np.asarray(lost).tolist()
                bar.update(left)
                on_batch()
        model = self.model
        updated = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
        for of, values in zip(updated, state, strict=True):
            for variable, value in zip(of, values, strict=True):
                variable.assign(value)
        return losses

    def _targets_of(self, pool: Pool) -> Any:
        if id(pool) not in self._targets:
            every = targets(self.word, pool, np.arange(len(pool)), self.distill)
            self._targets[id(pool)] = pool, on_devices(every)
        return self._targets[id(pool)][1]

    def _learned(self, state: Any, batch: Batch, positive: Any, negative: Any) -> Any:
        """Many batches: the state behind them, and their losses."""
        import jax
        from jax import numpy as jnp

        def loss(trained: Any, other: Any, inputs: Any, y: Any) -> Any:
            predicted, other = self.model.stateless_call(trained, other, inputs, training=True)
            return jnp.mean(self.model.loss(y, predicted)), other

        def step(state: Any, batch: Batch) -> Any:
            trained, other, optimizer = state
            x, states, y = (
                jnp.concatenate([a[batch.positive], b[batch.negative]])
                for a, b in zip(positive, negative, strict=True)
            )
            x = _shared_out(x.astype(jnp.float32) * FEATURE_SCALE)
            x = change(x, batch.changes, jnp.asarray(self.warps), jnp)[:, :, None, :]
            inputs = [x, self._vectors(states)]
            (lost, other), slope = jax.value_and_grad(loss, has_aux=True)(trained, other, inputs, y)
            trained, optimizer = self.model.optimizer.stateless_apply(optimizer, slope, trained)
            return (trained, other, optimizer), lost

        return jax.lax.scan(step, state, batch)


def learner(word: Word, model: keras.Model, distill: bool = False) -> Learner:
    """The learner for the backend that Keras has."""
    return (JaxLearner if keras.backend.backend() == "jax" else Learner)(word, model, distill)
