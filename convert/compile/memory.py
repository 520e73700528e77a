# SPDX-License-Identifier: Apache-2.0
"""Offsets in the arena: exact lifetimes, results over their last inputs, and a search.

A buffer lives from the first step that writes it to the last that reads it. Two buffers that live
at the same time must not overlap, but for one case: where a step is the last to read one and the
first to write the other, the result may overlap its input as far as the kernel allows, which is
known exactly: the result may start `distance` bytes before the input (program.Step).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from wakestate.convert.compile.program import Buffer, Program, Step

ALIGN = 4
#: Orders of placing that are tried, and how many pairs of buffers are looked at in all of them.
TRIES, MAX_VISITS = 400, 4_000_000

#: Start of b less start of a must not be strictly between these two.
Forbidden = tuple[int, int]
#: For each buffer the others that live at the same time, and where it must not start from theirs.
Neighbors = list[list[tuple[int, int, int]]]


@dataclass(eq=False)
class Life:
    """A buffer of the arena and the steps at which it is first and last touched."""

    buffer: Buffer
    first: int
    last: int


def plan(program: Program) -> None:
    """Give every buffer of the arena and of the state its offset."""
    state = 0
    for buffer in program.buffers:
        if buffer.kind == "state":
            buffer.offset, state = state, _up(state + buffer.size)
    program.state_bytes = state
    for step in program.steps:
        if step.scratch:
            program.scratch[step] = Buffer(f"{step.name}_SCRATCH".upper(), step.scratch, "arena")
    lives = lifetimes(program)
    neighbors: Neighbors = [[] for _ in lives]
    for i, a in enumerate(lives):
        for j, b in enumerate(lives[i + 1 :], i + 1):
            if a.first <= b.last and b.first <= a.last:
                low, high = forbidden(program, a, b)
                neighbors[j].append((i, low, high))
                neighbors[i].append((j, -high, -low))
    offsets = _search(lives, neighbors)
    for life, offset in zip(lives, offsets, strict=True):
        life.buffer.offset = offset
    program.arena_bytes = _end(lives, offsets)
    program.buffers = [b for b in program.buffers if b.kind != "arena"] + [
        life.buffer for life in lives
    ]


def lifetimes(program: Program) -> list[Life]:
    """The buffers of the arena that are used, by first touch."""
    found: dict[Buffer, Life] = {}
    for number, step in enumerate(program.steps):
        touched = [program.places[t].buffer for t in [*step.sources, step.result]]
        touched += [program.scratch[step]] if step in program.scratch else []
        for buffer in touched:
            if buffer.kind == "arena":
                found.setdefault(buffer, Life(buffer, number, number)).last = number
    return list(found.values())


def forbidden(program: Program, a: Life, b: Life) -> Forbidden:
    """Where b must not start, relative to a, both living at some step."""
    if a.last == b.first and a.first < b.first:
        return _overlap(program, program.steps[b.first], a.buffer, b.buffer)
    if b.last == a.first and b.first < a.first:
        low, high = _overlap(program, program.steps[a.first], b.buffer, a.buffer)
        return -high, -low
    return -b.buffer.size, a.buffer.size


def _overlap(program: Program, step: Step, old: Buffer, new: Buffer) -> Forbidden:
    """Where `new`, first touched by `step`, must not start relative to `old`, last read by it."""
    place = program.places[step.result]
    if place.buffer is not new:  # scratch
        return -new.size, old.size
    writes, size = place.offset, step.result.bytes
    low, high = 1 << 30, -(1 << 30)
    for number, source in enumerate(step.sources):
        at = program.places[source]
        if at.buffer is not old:
            continue
        before = min(step.distance.get(number, size), size)
        low = min(low, at.offset - writes - before)
        high = max(high, at.offset + source.bytes - writes)
    return low, high


def _search(lives: Sequence[Life], neighbors: Neighbors) -> list[int]:
    """Place one after another at the lowest offset; of many orders the best."""
    if not lives:
        return []
    count = len(lives)
    lower_bound = max(
        sum(life.buffer.size for life in lives if life.first < step < life.last)
        for step in range(max(life.last for life in lives) + 1)
    )
    orders = [
        sorted(range(count), key=lambda i: (-lives[i].last, -lives[i].first)),
        sorted(range(count), key=lambda i: (lives[i].first, lives[i].last)),
        sorted(range(count), key=lambda i: (-lives[i].buffer.size, -lives[i].last)),
    ]
    order = min(orders, key=lambda o: _end(lives, _place(o, neighbors)))
    best = _place(order, neighbors)
    chance = random.Random(0)  # the same plan on every machine
    tries = min(TRIES, MAX_VISITS // max(sum(len(pairs) for pairs in neighbors), count))
    for _ in range(tries if count > 1 else 0):
        if _end(lives, best) <= lower_bound:
            break
        tried = list(order)
        tried.insert(chance.randrange(count), tried.pop(chance.randrange(count)))
        offsets = _place(tried, neighbors)
        if _end(lives, offsets) <= _end(lives, best):
            best, order = offsets, tried
    return best


def _place(order: Sequence[int], neighbors: Neighbors) -> list[int]:
    offsets = [-1] * len(neighbors)
    for i in order:
        taken = [
            (offsets[j] + low, offsets[j] + high)
            for j, low, high in neighbors[i]
            if offsets[j] >= 0
        ]
        at = 0
        for low, high in sorted(taken):
            if low < at < high:
                at = _up(high)
        offsets[i] = at
    return offsets


def _end(lives: Sequence[Life], offsets: Sequence[int]) -> int:
    return max(
        (_up(at + life.buffer.size) for life, at in zip(lives, offsets, strict=True)), default=0
    )


def _up(offset: int) -> int:
    return -(-offset // ALIGN) * ALIGN
