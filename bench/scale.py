# SPDX-License-Identifier: Apache-2.0
"""Where the first bottleneck of a cluster lies (docs/scale.md): python -m wakestate.bench.scale

A simulation, task by task. Workers begin as soon as their machine has the files; each result
crosses the calling machine's network and is written there, one after the other. What a task takes
is measured: train/costs.py, and on this machine the time to unpack and write a result.
"""

from __future__ import annotations

import heapq
import io
import pickle
import time
from dataclasses import dataclass

import numpy as np

from wakestate.tables import pipe
from wakestate.train.costs import CLIP_S, SCENE_S, STREAM_HOUR_S

WORKERS = (10, 100, 1000)
A_MACHINE = 16  # workers
NETWORK = 1.25e9  # byte/s: 10 Gbit/s, of the calling machine or the store
BEGIN_S = 10.0  # of a worker: packages to import, rooms to simulate
SCENE_BYTES = 239 * 64  # features of one, alexa
SUBMIT_S = 0.0005  # of the calling machine and the scheduler, a task


@dataclass(frozen=True)
class Work:
    """Tasks of a step: how many, s of a core each, bytes of a result, bytes to each machine."""

    name: str
    tasks: int
    task_s: float
    result: int
    files: int


#: An hour has six blocks, a task two sounds of a block; hours: train/costs.py, listening_s.
STEPS = (
    Work("170,000 scenes", 425, 400 * SCENE_S, SCENE_BYTES * 400, 1_200_000_000),
    Work("short evaluation, 42 h", 126, STREAM_HOUR_S[True] / 3, 60_000, 400_000_000),
    Work("evaluation, 109 h", 327, STREAM_HOUR_S[False] / 3, 60_000, 400_000_000),
    Work("60,000 clips by Kokoro", 15_000, 4 * CLIP_S["kokoro"], 4 * 8_000, 340_000_000),
)


def writing_s(size: int) -> float:
    """To unpack and write a result of so many bytes, on this machine, s."""
    data = np.random.default_rng(1).integers(-128, 128, size, np.int8)
    best = float("inf")
    for _ in range(5):
        packed = pickle.dumps(data)
        began = time.process_time()
        np.savez(io.BytesIO(), features=pickle.loads(packed))
        best = min(best, time.process_time() - began)
    return best


def simulated(work: Work, workers: int, write_s: float) -> tuple[float, dict[str, float]]:
    """Seconds until all is written, and the share of them in which each part is busy."""
    machines = -(-workers // A_MACHINE)
    has_files = [(n + 1) * work.files / NETWORK for n in range(machines)]  # one after the other
    free = [(has_files[n // A_MACHINE] + BEGIN_S, n) for n in range(workers)]
    heapq.heapify(free)
    done = []
    for number in range(work.tasks):
        at, worker = heapq.heappop(free)
        end = max(at, number * SUBMIT_S) + work.task_s
        done.append(end)
        heapq.heappush(free, (end, worker))
    crossed = written = 0.0
    for end in sorted(done):
        crossed = max(crossed, end) + work.result / NETWORK
        written = max(written, crossed) + write_s
    busy = {
        "workers": work.tasks * work.task_s / workers,
        "files to workers": has_files[-1],
        "worker start-up": BEGIN_S,
        "writing": work.tasks * write_s,
        "tasks too few": work.task_s * -(-work.tasks // workers)
        - work.tasks * work.task_s / workers,
        "submitting": work.tasks * SUBMIT_S,
    }
    return written, {name: seconds / written for name, seconds in busy.items()}


def main() -> None:
    """Print the table of docs/scale.md."""
    rows = []
    for work in STEPS:
        write_s = writing_s(work.result)
        for workers in WORKERS:
            total, busy = simulated(work, workers, write_s)
            rest = {name: share for name, share in busy.items() if name != "workers"}
            first = max(rest, key=lambda name: rest[name])
            ideal = work.tasks * work.task_s
            share = f"{first}, {100 * min(rest[first], 1):.0f} %"
            cells = [f"{total:,.0f}", f"{ideal / total:.0f}", f"{100 * busy['workers']:.0f}"]
            rows.append([work.name, str(workers), *cells, share])
    head = ["step", "workers", "s", "times one core", "workers busy, %", "largest other share"]
    print(pipe(head, rows))


if __name__ == "__main__":
    main()
