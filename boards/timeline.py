# SPDX-License-Identifier: Apache-2.0
"""The same recording in two builds of the firmware, side by side."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wakestate.boards.run import capture
from wakestate.boards.schema import Board, BoardError

_BARS = " ▁▂▃▄▅▆▇█"
_SLOTS = 48


def timeline(
    builds: Sequence[tuple[Board, Path]], audio: Sequence[str], state: str | None
) -> tuple[str, bool]:
    """The text to show, and whether all builds printed the same lines."""
    options = ["--json", "--scores", *(["--state", state] if state else [])]
    outputs = []
    for board, program in builds:
        done = capture(board, program, [*options, *audio])
        if done.returncode != 0:
            raise BoardError(f"{board.name}: {done.stderr.decode(errors='replace').strip()}")
        outputs.append(done.stdout.decode().splitlines())
    titles = [title(board) for board, _ in builds]
    texts = [_describe(lines) for lines in outputs]
    width = max(len(row) for row in itertools.chain(titles, *texts)) + 3
    rows = [
        "".join(cell.ljust(width) for cell in row).rstrip()
        for row in [
            titles,
            ["-" * (width - 3)] * len(titles),
            *itertools.zip_longest(*texts, fillvalue=""),
        ]
    ]
    return "\n".join([*rows, "", *_compare(titles, outputs)]), all(o == outputs[0] for o in outputs)


def title(board: Board) -> str:
    """What a person calls it, and what runs it."""
    if board.kind == "host":
        return "host emulator"
    return f"{board.name}, {board.core_title} in QEMU"


def _describe(lines: Sequence[str]) -> list[str]:
    """Wakes as text, and under each file's a curve of the highest score in each slot."""
    rows: list[str] = []
    scores: list[tuple[float, float]] = []
    wakes = 0
    for line in lines:
        event = json.loads(line)
        if event["type"] == "score":
            if scores and event["t"] < scores[-1][0]:  # the next file
                rows.append(_curve(scores))
                scores = []
            scores.append((event["t"], event["p"]))
        elif event["type"] == "wake":
            wakes += 1
            word = f"{event.get('word', 'word')} {event['start']:.3f}-{event['end']:.3f}"
            rows.append(f"{event['t']:8.3f} s  wake  {word}  p={event['p']:.4f}  {event['state']}")
    if wakes == 0:
        rows.append("no wake")
    return [*rows, _curve(scores)] if scores else rows


def _curve(scores: Sequence[tuple[float, float]]) -> str:
    end = scores[-1][0]
    slots = [0.0] * _SLOTS
    for t, p in scores:
        slot = min(_SLOTS - 1, int(t / end * _SLOTS))
        slots[slot] = max(slots[slot], p)
    top = len(_BARS) - 1
    bars = "".join(_BARS[min(top, round(p * top))] for p in slots)
    return f"p |{bars}| {end:.1f} s"


def _compare(titles: Sequence[str], outputs: Sequence[Sequence[str]]) -> list[str]:
    first = outputs[0]
    for title, lines in zip(titles[1:], outputs[1:], strict=True):
        for number, pair in enumerate(itertools.zip_longest(first, lines, fillvalue="(none)"), 1):
            if pair[0] != pair[1]:
                return [
                    f"DIFFERENT at line {number}:",
                    f"  {titles[0]}: {pair[0]}",
                    f"  {title}: {pair[1]}",
                ]
    wakes = sum(json.loads(line)["type"] == "wake" for line in first)
    return [f"Equal, line for line: {wakes} wakes and {len(first) - wakes} scores."]


def show(builds: Sequence[tuple[Board, Path]], audio: Sequence[str], state: str | None) -> int:
    """Print the timeline; the exit status is whether the builds agree."""
    text, equal = timeline(builds, audio, state)
    sys.stdout.write(text + "\n")
    return 0 if equal else 1
