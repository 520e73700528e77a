# SPDX-License-Identifier: Apache-2.0
"""One HTML page of an evaluation: everything in it, nothing fetched; and its figures as PNG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wakestate.convert.emit import compile_word
from wakestate.files import write_atomically
from wakestate.render import render
from wakestate.train.evaluation.cells import USUAL, Table, label
from wakestate.train.evaluation.device import OURS, Device, fingerprint
from wakestate.train.evaluation.document import Evaluated, Excerpt, Other, Ratio, Result, Row, read
from wakestate.train.evaluation.float_baseline import FLOAT
from wakestate.train.evaluation.listening import Options
from wakestate.train.evaluation.paired import check_same_trials
from wakestate.train.evaluation.peers import find_peers
from wakestate.train.report import figures
from wakestate.train.report.sources import sources
from wakestate.train.report.tables import tables
from wakestate.train.report.verdict import rate_of, verdict
from wakestate.words import Word


@dataclass(frozen=True)
class Picture:
    """A figure of the page."""

    svg: str
    alt: str


def stale(
    results: Path, device: Device, word: Word, split: str, options: Options, cache: Path
) -> str:
    """Why evaluate.json cannot be used for what is asked; empty when it can."""
    if not results.is_file():
        return f"{results}: not there yet"
    found = read(results)
    wanted: dict[str, object] = {
        "split": split,
        "seed": options.seed,
        "draws": options.draws,
        "signal_to_echo_db": {k: list(v) for k, v in options.ser_db.items()},
        "fingerprint": fingerprint(device),
        "short": options.short,
        "peers_absent": find_peers(word, cache)[1] if options.peers else "left out as asked",
    }
    for key, value in wanted.items():
        given = getattr(found, key)
        if given != value:
            return f"{results}: {key} is {given}, wanted {value}"
    if rate_of(word) not in found.rows[0].crossed:
        return f"{results}: made without {rate_of(word)} false accepts an hour"
    if options.keras and FLOAT not in found.rows[0].others:
        return f"{results}: made without the float model"
    return ""


def write_report(
    word: Word,
    model: Path,
    results: Path,
    out: Path,
    costs: Path,
    beside: Sequence[tuple[str, Path]],
    data: Sequence[Path] = (),
) -> Path:
    """Write OUT/report.html and OUT/*.png; returns the page.

    `costs`: what `wakestate bench` counted. `beside`: other models' names and evaluate.json.
    `data`: the folders that were measured on, for their licenses.
    """
    found = read(results)
    for name, path in beside:
        join(found, name, read(path))
    rows = found.of("sound", "state")
    rate = USUAL
    out.mkdir(parents=True, exist_ok=True)
    figures.save_png(figures.overview(rows, rate), out / "overview.png")
    figures.save_png(figures.det(rows, 4, legend=True), out / "det.png")
    quiet = [r for r in found.rows if r.condition.level_dbfs == -30.0]  # none if short
    bands = _bands(rows, quiet[0], found.band_hz, out) if quiet else []
    scenes = []
    for i, scene in enumerate(found.excerpts):
        draw = figures.excerpt(scene)
        figures.save_png(draw, out / f"scores-{i + 1}.png")
        scenes.append(
            (label(scene.condition), Picture(figures.svg(draw, f"scores{i}"), _alt_scene(scene)))
        )
    page = render(
        "report.html.j2",
        word=word,
        found=found,
        ours=OURS,
        rate=rate,
        meant=rate_of(word),
        rows=rows,
        listeners=list(figures.listeners(rows[0])),
        verdict=verdict(word, found),
        overview=_overview(rows, rate),
        det=[
            Picture(
                figures.svg(figures.det([row], 1, legend=False), f"det{i}"), _alt_det(row, rate)
            )
            for i, row in enumerate(rows)
        ],
        bands=bands,
        scenes=scenes,
        tables={table.title: table for table in tables(found)},
        size=_size(word, model),
        cost=_cost(word, model, costs),
        sources=sources(data, found.split),
    )
    path = out / "report.html"
    write_atomically(path, page)
    return path


def _overview(rows: list[Row], rate: str) -> list[Picture]:
    """The overview, wide and for a phone."""
    alt = _alt_overview(rows, rate)
    return [
        Picture(figures.svg(figures.overview(rows, rate, narrow), f"overview{narrow}"), alt)
        for narrow in (False, True)
    ]


def join(found: Evaluated, name: str, other: Evaluated) -> None:
    """Adds another model's own figures, where it was measured in the same condition."""
    check_same_trials(found, name, other)
    by_name = {r.condition.name: r for r in other.rows}
    for row in found.rows:
        theirs = by_name[row.condition.name]
        ratio = {
            rate: Ratio(ratio=row.at[rate].misses / at.misses, low=None, high=None)
            if at.misses
            else None
            for rate, at in theirs.at.items()
            if rate in row.at
        }
        own = {key: getattr(theirs, key) for key in Result.model_fields}
        row.others[name] = Other(**own, ratio=ratio)
    found.states += [
        s.model_copy(update={"listener": name}) for s in other.states if s.listener == OURS
    ]


def _bands(rows: list[Row], quiet: Row, hz: list[float], out: Path) -> list[Picture]:
    made: list[Picture] = []
    for row in rows:
        if row.condition.ser_db == 0 and row.lfbe_db:
            draw = figures.lfbe(quiet, row, hz)
            figures.save_png(draw, out / f"bands-{len(made) + 1}.png")
            shift = [b - a for a, b in zip(quiet.lfbe_db, row.lfbe_db, strict=True)]
            peak = max(range(len(shift)), key=lambda i: shift[i])
            name = label(row.condition.name)
            alt = (
                f"{name}: the device's own sound raises the mean energy "
                f"most at {hz[peak]:.0f} Hz, by {shift[peak]:.0f} dB, and least by "
                f"{min(shift):.0f} dB."
            )
            made.append(Picture(figures.svg(draw, f"bands{len(made)}"), alt))
    return made


def _alt_overview(rows: list[Row], rate: str) -> str:
    parts = []
    for row in rows:
        shares = ", ".join(
            f"{name} {100 * r.at[rate].frr:.1f} %" for name, r in figures.listeners(row).items()
        )
        parts.append(f"{label(row.condition.name)}: {shares}")
    return f"False rejects at {rate} false accepts per hour. " + "; ".join(parts) + "."


def _alt_det(row: Row, rate: str) -> str:
    return "Trade-off of false rejects and false accepts. " + _alt_overview([row], rate)


def _alt_scene(scene: Excerpt) -> str:
    detected = "; ".join(
        f"{name} wakes at " + (", ".join(f"{t:.1f} s" for t in found.wakes_s) or "no time")
        for name, found in scene.listeners.items()
        if name != FLOAT
    )
    times = ", ".join(f"{start:.1f} s" for start, _ in scene.words_s)
    return f"{label(scene.condition)}: the word is said at {times}; {detected}."


def _size(word: Word, model: Path) -> dict[str, str]:
    program = compile_word(word, model, "plain")
    macs = program.macs
    f, m = word.frontend, word.model
    step = m.stride * f.hop_samples / f.sample_rate
    return {
        "weights (int8)": f"{program.weight_bytes:,}",
        "MACs a second of audio": f"{macs / step:,.0f}",
        "receptive field": f"{m.receptive_hops} hops, "
        f"{((m.receptive_hops - 1) * f.hop_samples + f.window_samples) / f.sample_rate:.2f} s",
        "a network step every": f"{1000 * step:.0f} ms",
        "device states": f"{len(word.states)}, one set of weights",
    }


def _cost(word: Word, model: Path, costs: Path) -> Table | None:
    """Counted costs on every core, if they are those of a network as large as this one."""
    if not costs.is_file():
        return None
    counted = [
        r for r in json.loads(costs.read_text(encoding="utf-8"))["rows"] if r["model"] == word.name
    ]
    macs = compile_word(word, model, "plain").macs
    if not any(r["layer"] == "step" and r.get("macs") == macs for r in counted):
        return None
    total = {r["core"]: r for r in counted if r["layer"] == "total"}
    worst = {r["core"]: r for r in counted if r["layer"] == "worst hop"}
    body = tuple(
        tuple(
            (text, "")
            for text in (
                core,
                f"{r['instructions'] / 1e6:.2f} M",
                f"{worst[core]['instructions']:,}",
                f"{r['flash'] / 1024:.1f} KB",
                f"{r['ram'] / 1024:.1f} KB",
                f"{r['stack']:,} B",
            )
        )
        for core, r in total.items()
    )
    note = "Counted in QEMU, not timed; flash, RAM and stack of the least image that listens."
    head = ("core", "instructions a second of audio", "in the worst hop", "flash", "RAM", "stack")
    return Table("Cost", note, head, body)
