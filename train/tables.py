"""The tables of an evaluation, from what evaluate.json holds: for a terminal, a card, a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from train.evaluate import OURS
from train.whole import FLOAT

SAID_BY = {"synthetic": "synthetic", "recorded": "people", "clip": "clips"}
Cell = tuple[str, str]  # what is said, and in small what qualifies it


@dataclass(frozen=True)
class Table:
    """A title, what its columns mean, a heading and cells."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def markdown(self) -> str:
        """As Markdown; what is small stands in the same cell."""
        lines = [f"**{self.title}**", "", "| " + " | ".join(self.head) + " |",
                 "|---" * len(self.head) + "|"]  # fmt: skip
        for row in self.rows:
            cells = [f"{text} {small}".strip() for text, small in row]
            lines.append("| " + " | ".join(cells) + " |")
        return "\n".join(lines)


def tables(found: dict[str, Any]) -> list[Table]:
    """Every table that the evaluation has figures for, in the order of the report."""
    rows = found["rows"]
    others = [name for name in rows[0]["others"] if name != FLOAT]
    of = {part: [r for r in rows if r["condition"]["part"] == part]
          for part in ("sound", "state", "told", "gain")}  # fmt: skip
    made = [_main(of["sound"] + of["state"], others), _shipped(of["sound"] + of["state"], others)]
    if of["told"]:
        made.append(_told(of["told"], rows))
    if of["gain"]:
        made.append(_gain(of["gain"], rows[0], others))
    if FLOAT in rows[0]["others"]:
        made.append(_float(of["sound"] + of["state"]))
    if found["near"]:
        made.append(_near(found["near"], others))
    if any(r["endpoints"] for r in rows):
        made.append(_endpoints([r for r in rows if r["endpoints"] and r not in of["told"]]))
    return made


def percent(share: float) -> str:
    """0.0732 -> "7.3"."""
    return f"{100 * share:.1f}"


def _frr(at: dict[str, float]) -> Cell:
    return percent(at["frr"]), f"[{percent(at['frr_low'])}, {percent(at['frr_high'])}]"


def label(name: str) -> str:
    """A condition's name, its states short: "player=music,volume=high" reads "music high"."""

    def values(state: re.Match[str]) -> str:
        return " ".join(part.split("=")[1] for part in state[0].split(","))

    return re.sub(r"(?<!,) SER", ", SER", re.sub(r"\w+=\w+(,\w+=\w+)*", values, name))


def _name(row: dict[str, Any]) -> Cell:
    return label(row["condition"]["name"]), ""


def _main(rows: list[dict[str, Any]], others: list[str]) -> Table:
    rates = sorted(rows[0]["at"], key=float)
    head = ["condition"]
    for rate in rates:
        head.append(f"{OURS}, {rate} FA/h")
        for name in others:
            head += [f"{name}, {rate} FA/h", "ratio of misses"]
    head.append("trials")
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = [_name(row)]
        for rate in rates:
            cells.append(_frr(row["at"][rate]))
            for name in others:
                other = row["others"][name]
                cells += [_frr(other["at"][rate]), _ratio(other["ratio"][rate])]
        body.append((*cells, (str(row["clips"]), "")))
    hours = rows[0]["hours"]
    allowed = int(0.5 * hours)
    note = (
        f"False rejects in percent, 95 % interval over {rows[0]['speakers']} voices, at a "
        "threshold chosen in each row so that false accepts are at or below the rate. There are "
        f"{hours:.2f} h of sound without the word: at 0.5 FA/h that allows {allowed} false "
        f"accept{'' if allowed == 1 else 's'} in all, so that column hangs on the loudest few. "
    )
    if others:
        note += f"Ratio: {OURS}'s misses over those of the engine before it, with its interval."
    return Table("False rejects at equal false accepts", note, tuple(head), tuple(body))


def _ratio(ratio: dict[str, Any] | None) -> Cell:
    if ratio is None:
        return "–", "it misses none"
    if ratio["low"] is None:  # of another evaluation: its draws are not known
        return f"{ratio['ratio']:.2f}", ""
    high = "∞" if ratio["high"] > 1e6 else f"{ratio['high']:.2f}"
    return f"{ratio['ratio']:.2f}", f"[{ratio['low']:.2f}, {high}]"


def _shipped(rows: list[dict[str, Any]], others: list[str]) -> Table:
    with_own = [name for name in others if rows[0]["others"][name]["shipped"]]
    head = ["condition", "threshold"]
    for name in (OURS, *with_own):
        head += [f"{name}: FA/h", f"{name}: FRR %"]
    body = []
    for row in rows:
        cells = [_name(row), (str(row["shipped"]["threshold"]), "")]
        for at in (row["shipped"], *(row["others"][name]["shipped"] for name in with_own)):
            cells += [_rate(at, row["hours"]), _frr(at)]
        body.append(tuple(cells))
    note = (
        "At the threshold each comes with: ours is one a device state, whatever the sound; the "
        "other engine's is its cutoff. Nothing is chosen by the row."
    )
    return Table("As shipped", note, tuple(head), tuple(body))


def _rate(at: dict[str, float], hours: float) -> Cell:
    return f"{at['false_accepts'] / hours:.2f}", f"({at['false_accepts']})"


def _told(told: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Table:
    body = []
    for row in told:
        c = row["condition"]
        right = next(
            r for r in rows if r["condition"]["part"] in ("sound", "state")
            and r["condition"]["ser_db"] == c["ser_db"] and not r["condition"]["noise"]
            and (c["ser_db"] is None or r["condition"]["state"] == c["plays"])
        )  # fmt: skip
        body.append((
            _name(row), _rate(row["shipped"], row["hours"]), _frr(row["shipped"]),
            _rate(right["shipped"], right["hours"]), _frr(right["shipped"]),
        ))  # fmt: skip
    note = "What a wrong state costs, at the shipped threshold of the state that is told."
    return Table("The device tells a wrong state", note,
                 ("condition", "FA/h", "FRR %", "FA/h, told rightly", "FRR %, told rightly"),
                 tuple(body))  # fmt: skip


def _float(rows: list[dict[str, Any]]) -> Table:
    body = []
    for rate in sorted(rows[0]["at"], key=float):
        clips = sum(row["clips"] for row in rows)
        ours = sum(row["at"][rate]["misses"] for row in rows)
        theirs = sum(row["others"][FLOAT]["at"][rate]["misses"] for row in rows)
        change = f"{100 * (ours / theirs - 1):+.1f} %" if theirs else "–"
        body.append(((f"{rate} FA/h", ""), (percent(ours / clips), f"({ours})"),
                     (percent(theirs / clips), f"({theirs})"), (change, "")))  # fmt: skip
    note = (
        f"False rejects in percent over all {len(rows)} rows above together, each at its own "
        "threshold: the int8 streaming device against the float model on whole recordings."
    )
    return Table("What int8 and streaming cost", note,
                 ("at", OURS, FLOAT, "relative change"), tuple(body))  # fmt: skip


def _gain(rows: list[dict[str, Any]], clean: dict[str, Any], others: list[str]) -> Table:
    """FRR at the threshold of the clean row, in which the stream is as recorded."""
    rate = min(clean["at"], key=float)
    body = tuple(
        (_name(row), _frr(row["at"][rate]),
         *(_frr(row["others"][name]["at"][rate]) for name in others))
        for row in rows
    )  # fmt: skip
    note = (
        f"False rejects in percent at {rate} FA/h when the recordings are scaled so that the word "
        "has this level (RMS while speaking) and nothing is added."
    )
    return Table("Input level", note, ("level", OURS, *others), body)


def _near(near: list[dict[str, Any]], others: list[str]) -> Table:
    limits = [(name, what) for name in (OURS, *others) for what in ("shipped", "0.5")
              if what in near[0]["fired"].get(name, {})]  # fmt: skip
    head = ["phrase", "tries"]
    head += [f"{n}, {'as shipped' if w == 'shipped' else f'clean {w} FA/h'}" for n, w in limits]
    body = [
        ((item["phrase"], SAID_BY[item["source"]]),
         (str(item["tries"]), ""),
         *((f"{100 * item['fired'][n][w] / item['tries']:.0f} %", f"({item['fired'][n][w]})")
           for n, w in limits))
        for item in near
    ]  # fmt: skip
    note = (
        "How often each phrase wakes. The first row is the word itself, said by the same voices in "
        "the same rooms: there more is better."
    )
    if any(item["source"] == "recorded" for item in near):
        note += " People say theirs within longer recordings."
    if any(item["source"] == "clip" for item in near):
        note += " Clips are the synthesized ones of the data, as they are."
    return Table("Near misses", note, tuple(head), tuple(body))


def _endpoints(rows: list[dict[str, Any]]) -> Table:
    def cell(e: dict[str, float], side: str) -> Cell:
        return f"{e[f'{side}_standard_error_ms']:.0f}", f"bias {e[f'{side}_bias_ms']:+.0f}"

    body = tuple(
        (_name(r), cell(r["endpoints"], "start"), cell(r["endpoints"], "end"),
         (str(r["endpoints"]["wakes"]), ""))
        for r in rows
    )  # fmt: skip
    note = "Standard error (standard deviation) of predicted minus true, ms, of the words caught."
    return Table("Endpoints", note, ("condition", "start, ms", "end, ms", "words"), body)
