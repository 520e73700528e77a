# SPDX-License-Identifier: Apache-2.0
"""The tables of an evaluation, from what evaluate.json holds: for a terminal, a card, a page."""

from __future__ import annotations

from wakestate.train.acoustics.conditions import ALTERATIONS
from wakestate.train.evaluation.cells import USUAL, Cell, Table, frr, label, percent, row_name
from wakestate.train.evaluation.device import OURS
from wakestate.train.evaluation.document import (
    At,
    Confusable,
    Endpoints,
    Evaluated,
    FalseAccept,
    Ratio,
    Row,
    State,
)
from wakestate.train.evaluation.float_baseline import FLOAT
from wakestate.train.evaluation.paired import versus

BY_NAME = "False accepts by name"
MAX_ACCEPTS = 200  # listed; evaluate.json has all
SPOKEN_BY = {"synthetic": "synthetic", "recorded": "people", "clip": "clips"}


def tables(found: Evaluated) -> list[Table]:
    """Every table that the evaluation has figures for, in the order of the report."""
    rows = found.rows
    others = [name for name in rows[0].others if name != FLOAT]
    main = found.of("sound", "state")
    life, wrong_states, gain = found.of("life"), found.of("wrong-state"), found.of("gain")
    made = [
        _main(main, others),
        _transfer(main, others),
        _states(found.states),
        _shipped(main, others),
    ]
    if others:
        made.append(_paired(main, others, found.voices))
    if life:
        made.append(_life([rows[0], *life], others))
    if wrong_states:
        made.append(_wrong_states(wrong_states, rows))
    if gain:
        made.append(_gain(gain, rows[0], others))
    if FLOAT in rows[0].others:
        made.append(_float(main))
    if found.false_accepts:
        made.append(_accepts(found.false_accepts))
    if found.confusables:
        made.append(_confusables(found.confusables, others))
    if any(r.endpoints for r in rows):
        made.append(_endpoints([r for r in rows if r.endpoints and r not in wrong_states]))
    return made


def _main(rows: list[Row], others: list[str]) -> Table:
    rates = sorted(rows[0].at, key=float)
    head = ["condition"]
    for rate in rates:
        head.append(f"{OURS}, {rate} FA/h")
        for name in others:
            head += [f"{name}, {rate} FA/h", "ratio of misses"]
    head.append("trials")
    body: list[tuple[Cell, ...]] = []
    for row in rows:
        cells = [row_name(row)]
        for rate in rates:
            cells.append(frr(row.at[rate]))
            for name in others:
                other = row.others[name]
                cells += [frr(other.at[rate]), _ratio(other.ratio[rate])]
        body.append((*cells, (str(row.clips), "")))
    hours = rows[0].hours
    allowed = int(0.5 * hours)
    note = (
        f"False rejects in percent, 95 % interval over {rows[0].speakers} voices, at a "
        "threshold chosen in each row so that false accepts are at or below the rate. There are "
        f"{hours:.2f} h of sound without the word: at 0.5 FA/h that allows {allowed} false "
        f"accept{'' if allowed == 1 else 's'} in all, so that column hangs on the loudest few. "
    )
    if others:
        fewest_hours = min(row.others[name].hours for row in rows for name in others)
        if fewest_hours < hours:
            note += f"Other engines: {fewest_hours:.1f} h of streams with the device's own sound. "
        note += f"Ratio: {OURS}'s misses over those of the engine before it, with its interval."
    return Table("False rejects at equal false accepts", note, tuple(head), tuple(body))


def _transfer(rows: list[Row], others: list[str]) -> Table:
    rates = sorted(rows[0].crossed, key=float, reverse=True)
    heads = [f"{name}, {rate} FA/h" for rate in rates for name in (OURS, *others)]
    body = [
        (
            row_name(row),
            *(
                frr(at.crossed[rate])
                for rate in rates
                for at in (row, *(row.others[name] for name in others))
            ),
            (str(row.clips), ""),
        )
        for row in rows
    ]
    note = (
        "False rejects in percent, 95 % interval over voices. One threshold for all rows of a "
        "device state: set for the rate named on one half of the recordings without the word, and "
        "reported on the other half of the voices; and the reverse. This is what a device does "
        "among strangers."
    )
    return Table(
        "False rejects at thresholds from the other half",
        note,
        ("condition", *heads, "trials"),
        tuple(body),
    )


def _states(states: list[State]) -> Table:
    listeners = list(dict.fromkeys(s.listener for s in states if s.listener != FLOAT))
    rates = list(dict.fromkeys(s.rate for s in states))
    of = {(s.listener, s.state, s.rate): s for s in states}
    columns = [
        (name, rate)
        for name in listeners
        for rate in rates
        if any(key[0] == name and key[2] == rate for key in of)
    ]
    body = []
    for state in dict.fromkeys(s.state for s in states):
        cells: list[Cell] = [(label(state), "")]
        for name, rate in columns:
            s = of[name, state, rate]
            each = " + ".join(str(half[1]) for half in s.halves)
            if s.hours != of[columns[0][0], state, columns[0][1]].hours:
                each += f" in {s.hours:.1f} h"
            cells.append(
                (
                    f"{s.false_accepts / s.hours:.2f}",
                    f"[{s.low:.2f}, {s.high:.2f}] ({each})",
                )
            )
        body.append((*cells, (f"{of[columns[0][0], state, columns[0][1]].hours:.1f}", "")))
    heads = [
        f"{name}, {'as shipped' if rate == 'shipped' else f'{rate} meant'}"
        for name, rate in columns
    ]
    note = (
        "False accepts an hour of each device state, over all its rows, with the exact Poisson "
        "interval, and how many there are in each half. At a rate, each half is counted "
        "at the threshold that the other set. Rows of one state have the same recordings at "
        "several ratios, so their intervals are somewhat too narrow."
    )
    return Table(
        "False accepts at thresholds from the other half",
        note,
        ("state", *heads, "hours"),
        tuple(body),
    )


def _paired(rows: list[Row], others: list[str], voices: list[str]) -> Table:
    body = []
    for name in others:
        theirs = [row.others[name] for row in rows]
        for rate in sorted(rows[0].crossed, key=float, reverse=True):
            missed = [at.crossed[rate].missed for at in theirs]
            cells = versus([row.crossed[rate].missed for row in rows], missed, voices)
            body.append(((name, ""), (f"{rate} FA/h", ""), *cells))
    note = (
        f"All rows together, at thresholds from the other half: {OURS}'s misses against the "
        "other's on the same trials. Difference in points with its 95 % interval over voices; p of "
        "a difference this large if both were equal (the sign of each voice's difference drawn)."
    )
    head = ("against", "at", f"{OURS}, %", "other, %", "difference", "p", "missed by one alone")
    return Table("Paired test", note, head, tuple(body))


def _life(rows: list[Row], others: list[str]) -> Table:
    """The first row is the clean one; conditions whose stream is altered as well say their FA/h."""
    clean = rows[0]
    rates = sorted(clean.crossed, key=float, reverse=True)
    listeners = (OURS, *others)
    body = []
    for row in rows:
        cells: list[Cell] = [row_name(row)]
        altered = row.condition.altered
        for rate in rates:
            for name in listeners:
                result = row if name == OURS else row.others[name]
                at = result.crossed[rate]
                accepts = ""
                if not altered or (ALTERATIONS[altered].stream and name == OURS):
                    accepts = f"{at.false_accepts / result.hours:.2f} FA/h"
                cells.append((percent(at.frr), accepts))
        body.append(tuple(cells))
    note = (
        "False rejects in percent of the recordings as they are, altered as the row names, at the "
        "thresholds of the idle state from the other half: nothing is chosen by the row. FA/h "
        "where the sound without the word is altered in the same way. docs/benchmark.md has each "
        "alteration."
    )
    heads = [f"{name}, {rate} FA/h" for rate in rates for name in listeners]
    return Table("Real life", note, ("condition", *heads), tuple(body))


def _accepts(found: list[FalseAccept]) -> Table:
    body = []
    for a in found[:MAX_ACCEPTS]:
        result = ", ".join(
            filter(
                None,
                (
                    f"plays {label(a.plays)}" if a.plays else "",
                    "" if a.ser_db is None else f"SER {a.ser_db:g} dB",
                    a.altered,
                ),
            )
        )
        text = a.text if len(a.text) < 80 else a.text[:77] + "..."
        body.append(
            (
                (label(a.state), ""),
                (result or "as recorded", ""),
                (a.file, a.kind),
                (f"{a.at_s:.1f}", ""),
                (str(a.score), ""),
                (text, ""),
            )
        )
    more = f" The first {MAX_ACCEPTS} of {len(found)}." if len(found) > MAX_ACCEPTS else ""
    note = (
        "Each wake on sound without the word, from the lowest threshold on that counts in its "
        f"state: as shipped, or as one half sets it for 0.5 FA/h.{more} Seconds are from the "
        "recording's start; the score is the highest threshold that it passes. `wakestate "
        "model clips` writes each as a WAV file."
    )
    head = ("state", "sound", "recording", "s", "score", "text")
    return Table(BY_NAME, note, head, tuple(body))


def _ratio(ratio: Ratio | None) -> Cell:
    if ratio is None:
        return "–", "it misses none"
    if ratio.low is None or ratio.high is None:  # of another evaluation: its draws are not known
        return f"{ratio.ratio:.2f}", ""
    high = "∞" if ratio.high > 1e6 else f"{ratio.high:.2f}"
    return f"{ratio.ratio:.2f}", f"[{ratio.low:.2f}, {high}]"


def _shipped(rows: list[Row], others: list[str]) -> Table:
    with_own = [name for name in others if rows[0].others[name].shipped]
    head = ["condition", "threshold"]
    for name in (OURS, *with_own):
        head += [f"{name}: FA/h", f"{name}: FRR %"]
    body = []
    for row in rows:
        cells = [row_name(row), (str(row.ships.threshold), "")]
        for result in (row, *(row.others[name] for name in with_own)):
            cells += [_rate(result.ships, result.hours), frr(result.ships)]
        body.append(tuple(cells))
    note = (
        "At the threshold each comes with: ours is one a device state, whatever the sound; the "
        "other engine's is its cutoff. Nothing is chosen by the row."
    )
    return Table("As shipped", note, tuple(head), tuple(body))


def _rate(at: At, hours: float) -> Cell:
    return f"{at.false_accepts / hours:.2f}", f"({at.false_accepts})"


def _wrong_states(wrong_states: list[Row], rows: list[Row]) -> Table:
    body = []
    for row in wrong_states:
        c = row.condition
        right = next(
            r
            for r in rows
            if r.condition.part in ("sound", "state")
            and r.condition.ser_db == c.ser_db
            and not r.condition.noise
            and (c.ser_db is None or r.condition.state == c.plays)
        )
        body.append(
            (
                row_name(row),
                _rate(row.ships, row.hours),
                frr(row.ships),
                _rate(right.ships, right.hours),
                frr(right.ships),
            )
        )
    note = "What a wrong state costs, at the shipped threshold of the given state."
    return Table(
        "The device reports a wrong state",
        note,
        ("condition", "FA/h", "FRR %", "FA/h, right state", "FRR %, right state"),
        tuple(body),
    )


def _float(rows: list[Row]) -> Table:
    body = []
    for rate in sorted(rows[0].at, key=float):
        clips = sum(row.clips for row in rows)
        ours = sum(row.at[rate].misses for row in rows)
        theirs = sum(row.others[FLOAT].at[rate].misses for row in rows)
        change = f"{100 * (ours / theirs - 1):+.1f} %" if theirs else "–"
        body.append(
            (
                (f"{rate} FA/h", ""),
                (percent(ours / clips), f"({ours})"),
                (percent(theirs / clips), f"({theirs})"),
                (change, ""),
            )
        )
    note = (
        f"False rejects in percent over all {len(rows)} rows above together, each at its own "
        "threshold: the int8 streaming device against the float model on whole recordings."
    )
    return Table(
        "What int8 and streaming cost", note, ("at", OURS, FLOAT, "relative change"), tuple(body)
    )


def _gain(rows: list[Row], clean: Row, others: list[str]) -> Table:
    """FRR at the threshold of the clean row, in which the stream is as recorded."""
    rate = USUAL
    body = tuple(
        (
            row_name(row),
            frr(row.at[rate]),
            *(frr(row.others[name].at[rate]) for name in others),
        )
        for row in rows
    )
    note = (
        f"False rejects in percent at {rate} FA/h when the recordings are scaled so that the word "
        "has this level (RMS while speaking) and nothing is added."
    )
    return Table("Input level", note, ("level", OURS, *others), body)


def _confusables(confusables: list[Confusable], others: list[str]) -> Table:
    limits = [
        (name, what)
        for name in (OURS, *others)
        for what in ("shipped", "0.5")
        if what in confusables[0].fired.get(name, {})
    ]
    head = ["phrase", "tries"]
    head += [f"{n}, {'as shipped' if w == 'shipped' else f'clean {w} FA/h'}" for n, w in limits]
    body = [
        (
            (item.phrase, SPOKEN_BY[item.source]),
            (str(item.tries), ""),
            *(
                (f"{100 * item.fired[n][w] / item.tries:.0f} %", f"({item.fired[n][w]})")
                for n, w in limits
            ),
        )
        for item in confusables
    ]
    note = (
        "How often each phrase wakes. The first row is the word itself, said by the same voices in "
        "the same rooms: there more is better."
    )
    if any(item.source == "recorded" for item in confusables):
        note += " People say theirs within longer recordings."
    if any(item.source == "clip" for item in confusables):
        note += " Clips are the synthesized ones of the data, as they are."
    return Table("Confusable phrases", note, tuple(head), tuple(body))


def _endpoints(rows: list[Row]) -> Table:
    def cell(e: Endpoints, side: str) -> Cell:
        return (
            f"{getattr(e, f'{side}_standard_error_ms'):.0f}",
            f"bias {getattr(e, f'{side}_bias_ms'):+.0f}",
        )

    body = tuple(
        (
            row_name(r),
            cell(r.endpoints, "start"),
            cell(r.endpoints, "end"),
            (str(r.endpoints.wakes), ""),
        )
        for r in rows
        if r.endpoints
    )
    note = "Standard error (standard deviation) of predicted minus true, ms, of the words caught."
    return Table("Endpoints", note, ("condition", "start, ms", "end, ms", "words"), body)
