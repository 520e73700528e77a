# SPDX-License-Identifier: Apache-2.0
"""The figures of a report, each as PNG and as an SVG whose colors the page chooses."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wakestate.files import replaced
from wakestate.train.evaluation.cells import label
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import Excerpt, Result, Row
from wakestate.train.evaluation.float_baseline import FLOAT

NO_ACCEPTS = 0.05  # FA/h at which "no false accept" is drawn
MIN_FRR = 0.6  # FRR in percent at which "no miss" is drawn


@dataclass(frozen=True)
class Ink:
    """Colors: of text, of what is secondary, of the grid, of the series, of a shaded word."""

    text: str
    muted: str
    grid: str
    word: str
    series: tuple[str, ...]


PAPER = Ink(
    "#1f2328",
    "#59636e",
    "#d8dee4",
    "#dfe9f7",
    ("#1f5fbf", "#c2571a", "#2e7d4f", "#8250a8", "#8a6d00"),
)
# Stand-ins that the page's CSS variables replace, so that light and dark both read well.
STAND_IN = Ink(
    "#010001",
    "#020002",
    "#030003",
    "#040004",
    ("#050105", "#050205", "#050305", "#050405", "#050505"),
)
CSS = {
    STAND_IN.text: "var(--text)",
    STAND_IN.muted: "var(--soft)",
    STAND_IN.grid: "var(--grid)",
    STAND_IN.word: "var(--word)",
    **{color: f"var(--s{i})" for i, color in enumerate(STAND_IN.series)},
}

Draw = Callable[[Ink], Figure]


def save_png(draw: Draw, path: Path) -> None:
    """The figure on white."""
    figure = draw(PAPER)
    with replaced(path) as partial:
        figure.savefig(partial, dpi=150, format="png", facecolor="white")
    pyplot.close(figure)


def svg(draw: Draw, name: str) -> str:
    """The figure as inline SVG; `name` keeps its ids apart from those of others."""
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure = draw(STAND_IN)
        out = io.StringIO()
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        pyplot.close(figure)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    for prefix in (
        "figure_",
        "axes_",
        "line2d_",
        "matplotlib.",
        "patch_",
        "text_",
        "xtick_",
        "ytick_",
        "legend_",
        "FillBetweenPolyCollection_",
        "PolyCollection_",
        "LineCollection_",
        "PathCollection_",
    ):
        text = re.sub(rf' id="{re.escape(prefix)}[^"]*"', "", text)
    for stand_in, variable in CSS.items():
        text = text.replace(stand_in, variable)
    return text.replace("xmlns:xlink=", "aria-hidden='true' xmlns:xlink=", 1)


def _axes(axes: Axes, ink: Ink) -> None:
    axes.tick_params(colors=ink.muted, labelsize=8, length=3)
    axes.tick_params(which="minor", length=0, labelsize=8, colors=ink.muted)
    axes.grid(color=ink.grid, linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(ink.muted)
    axes.xaxis.label.set_color(ink.text)
    axes.yaxis.label.set_color(ink.text)


def listeners(row: Row) -> dict[str, Result]:
    """Ours and the others of one row, in the order of their colors; not our float twin."""
    return {OURS: row, **{k: v for k, v in row.others.items() if k != FLOAT}}


def det(rows: list[Row], columns: int, legend: bool) -> Draw:
    """Detection error trade-off: FRR over FA/h, a panel a condition, a line a listener."""

    def draw(ink: Ink) -> Figure:
        lines = -(-len(rows) // columns)
        size = (3.5 * columns, 2.7 * lines + 0.5 * legend)
        figure, grid = pyplot.subplots(lines, columns, squeeze=False, figsize=size)
        for axes in grid.flat[len(rows) :]:
            axes.set_visible(False)
        for row, axes in zip(rows, grid.flat, strict=False):
            _det(axes, row, ink)
        figure.tight_layout(rect=(0, 0, 1, 1 - 0.5 / size[1]) if legend else None)
        if legend:
            handles, labels = grid.flat[0].get_legend_handles_labels()
            figure.legend(
                handles,
                labels,
                loc="upper center",
                ncols=len(labels),
                frameon=False,
                labelcolor=ink.text,
            )
        return figure

    return draw


def _det(axes: Axes, row: Row, ink: Ink) -> None:
    for (name, found), color in zip(listeners(row).items(), ink.series, strict=False):
        rate, frr = np.array([point[:2] for point in found.curve]).T
        at, low, high = np.array(found.band).T
        axes.fill_between(
            at,
            np.maximum(100 * low, MIN_FRR),
            np.maximum(100 * high, MIN_FRR),
            color=color,
            alpha=0.12,
            linewidth=0,
        )
        axes.step(
            np.maximum(rate, NO_ACCEPTS),
            np.maximum(100 * frr, MIN_FRR),
            where="post",
            color=color,
            linewidth=2 if name == OURS else 1.5,
            label=name,
        )
    axes.set(xscale="log", yscale="log", xlim=(NO_ACCEPTS, 20), ylim=(MIN_FRR, 100))
    axes.set_xticks(
        [NO_ACCEPTS, 0.1, 0.5, 1, 2, 5, 10, 20], ["0", "0.1", "0.5", "1", "2", "5", "10", "20"]
    )
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("false accepts per hour", fontsize=8)
    axes.set_ylabel("false rejects, %", fontsize=8)
    axes.set_title(label(row.condition.name), fontsize=9, loc="left", color=ink.text)
    _axes(axes, ink)
    axes.axvline(0.5, color=ink.muted, linewidth=0.8, linestyle=(0, (3, 3)))


def overview(rows: list[Row], rate: str, narrow: bool = False) -> Draw:
    """FRR of every condition at one rate, with intervals; a color a listener. `narrow`: for a
    phone, a condition's name above its lines."""

    def draw(ink: Ink) -> Figure:
        size = (3.7, 0.42 * len(rows) + 1.2) if narrow else (7, 0.31 * len(rows) + 1.0)
        figure, axes = pyplot.subplots(figsize=size)
        names = list(listeners(rows[0]))
        for k, name in enumerate(names):
            at = [listeners(row)[name].at[rate] for row in rows]
            y = np.arange(len(rows)) + (k - (len(names) - 1) / 2) * min(0.26, 0.6 / len(names))
            low, frr, high = (
                np.array([100 * getattr(a, key) for a in at])
                for key in ("frr_low", "frr", "frr_high")
            )
            axes.hlines(y, low, high, color=ink.series[k], linewidth=1.6, alpha=0.55)
            axes.plot(frr, y, "o", clip_on=False, color=ink.series[k], markersize=4.5, label=name)
        texts = [label(row.condition.name) for row in rows]
        axes.set_yticks(range(len(rows)), [""] * len(rows) if narrow else texts)
        for y_name, text in enumerate(texts if narrow else []):
            axes.text(0, y_name - 0.3, text, fontsize=8, color=ink.muted, va="bottom")
        axes.set(ylim=(len(rows) - 0.5, -0.8 if narrow else -0.5), xlim=(0, 100))
        axes.set_xlabel(f"false rejects, %, at {rate} false accepts per hour", fontsize=9)
        _axes(axes, ink)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", labelsize=9, labelcolor=ink.text, length=0)
        axes.spines["left"].set_visible(False)
        axes.legend(
            loc="lower center",
            bbox_to_anchor=(0.5 if narrow else 0.4, 1.0),
            ncols=1 if narrow else len(names),
            frameon=False,
            fontsize=9,
            labelcolor=ink.text,
        )
        figure.tight_layout()
        return figure

    return draw


def lfbe(quiet: Row, playing: Row, band_hz: list[float]) -> Draw:
    """Mean energy of each band while the word is said, with and without the device's own sound."""

    def draw(ink: Ink) -> Figure:
        figure, axes = pyplot.subplots(figsize=(4.6, 3.0))
        alone, both = quiet.lfbe_db, playing.lfbe_db
        axes.fill_between(band_hz, alone, both, color=ink.series[1], alpha=0.15, linewidth=0)
        axes.plot(band_hz, both, color=ink.series[1], linewidth=2, label="device playing")
        axes.plot(band_hz, alone, color=ink.series[0], linewidth=2, label="device silent")
        axes.set(xscale="log", xlim=(band_hz[0], band_hz[-1]))
        ticks = [hz for hz in (100, 200, 500, 1000, 2000, 5000) if band_hz[0] <= hz <= band_hz[-1]]
        axes.set_xticks(ticks, [f"{hz}" if hz < 1000 else f"{hz // 1000}k" for hz in ticks])
        axes.minorticks_off()
        axes.set_xlabel("center of the band, Hz", fontsize=8)
        axes.set_ylabel("mean band energy, dB", fontsize=8)
        axes.set_title(label(playing.condition.name), fontsize=9, loc="left", color=ink.text)
        _axes(axes, ink)
        axes.legend(fontsize=8, frameon=False, labelcolor=ink.text)
        figure.tight_layout()
        return figure

    return draw


def excerpt(scene: Excerpt) -> Draw:
    """Level and every listener's score over a short scene; words shaded, wakes marked."""

    def draw(ink: Ink) -> Figure:
        shown = {k: v for k, v in scene.listeners.items() if k != FLOAT}
        figure, grid = pyplot.subplots(
            1 + len(shown),
            sharex=True,
            figsize=(9.5, 1.2 + 1.35 * len(shown)),
            gridspec_kw={"height_ratios": [0.8] + [1.2] * len(shown)},
        )
        seconds = len(scene.level_dbfs) * scene.frame_s
        for axes in grid:
            for start, end in scene.words_s:
                axes.axvspan(start, end, color=ink.word, linewidth=0)
        t = np.arange(len(scene.level_dbfs)) * scene.frame_s
        level = np.array(scene.level_dbfs)
        grid[0].fill_between(t, level, -80, color=ink.muted, alpha=0.6, linewidth=0)
        grid[0].set(ylim=(-80, 0), xlim=(0, seconds), yticks=[-60, -30, 0])
        grid[0].set_title("sound at the microphone, dBFS", fontsize=9, loc="left", color=ink.text)
        for (name, found), axes, color in zip(shown.items(), grid[1:], ink.series, strict=False):
            scores = np.array(found.scores, float)
            scores[scores <= -10000] = np.nan  # there it cannot wake
            t = found.first_s + np.arange(len(scores)) * found.step_s
            axes.plot(t, scores, color=color, linewidth=1.3)
            axes.axhline(found.threshold, color=ink.text, linewidth=0.9, linestyle=(0, (4, 3)))
            for wake in found.wakes_s:
                axes.plot([wake], [found.threshold], "v", color=ink.text, markersize=8)
            gaps = " (none where the word is too short)" if np.isnan(scores).any() else ""
            title = f"{name}: score{gaps}, threshold, wakes"
            axes.set_title(title, fontsize=9, loc="left", color=ink.text)
        grid[-1].set_xlabel("seconds", fontsize=9)
        for axes in grid:
            _axes(axes, ink)
        figure.tight_layout(h_pad=0.4)
        return figure

    return draw
