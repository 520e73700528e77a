# SPDX-License-Identifier: Apache-2.0
"""manifest.csv of a data folder, as people and their programs write it.

Read as meant where that is beyond doubt (separator, encoding, case, blanks), and then said once on
stderr; else refused with the row, the value and what to do. No audio is opened here.
"""

from __future__ import annotations

import csv
import difflib
import io
import posixpath
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path, PureWindowsPath

from wakestate.errors import UserError
from wakestate.explain import one_line
from wakestate.words import Data

HELD_OUT = "held-out"  # a split: of train, what is held out
SPLITS = ("train", "dev")  # others may be there, but are read only where they are asked for
COLUMNS = ("path", "split", "kind", "label", "speaker", "seconds")
# Kinds a device plays itself, by the player state they belong to.
PLAYBACK_KINDS = {"music": "music", "speech": "device_speech", "alarm": "alarms"}
# Kinds whose recordings are speech without the wake word unless the label says otherwise.
SPEECH_KINDS = ("speech", "acted_speech", "other_keywords", "device_speech", "tts")
KINDS = tuple(sorted({*SPEECH_KINDS, *PLAYBACK_KINDS.values(), "noise", "rir", "echo"}))
NOBODY = ("", "n/a", "unknown")  # speakers
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "'|'"}
MAX_PROBLEMS = 20  # problems listed
Row = dict[str, str]


class DataError(UserError):
    """The data folder cannot be used; the message names the file and a hint."""

    several_lines = True


def find_manifest(data: Path) -> Path:
    """`data`/manifest.csv, or a DataError that names what is missing."""
    manifest = data / "manifest.csv"
    if not manifest.is_file():
        raise DataError(f"{manifest}: not found; name a data folder with DATA=FOLDER")
    return manifest


def read_manifest(data: Path, spoken: Data | None = None) -> list[Row]:
    """The rows of all splits, with COLUMNS and more where there are more; `path` as from `data`.

    `spoken`: whose labels must be there as they are in the word file, where they are meant.
    Raises DataError with a line for each thing that is wrong, and the rows.
    """
    manifest = find_manifest(data)
    problems: dict[str, list[int]] = {}  # and the rows that have them
    read: Counter[str] = Counter()  # what was read as something else
    rows = []
    for line, row in _cells(manifest):
        try:
            _clean(data, row, spoken, read)
        except DataError as problem:
            problems.setdefault(str(problem), []).append(line)
        else:
            rows.append((line, row))
    rows = _once(rows, spoken, problems, read)
    shown = [
        f"row {lines[0]}" + (f" and {len(lines) - 1} more" if lines[1:] else "") + f": {problem}"
        for problem, lines in problems.items()
    ]
    refuse(manifest, shown, "problems")
    for what, count in read.items():
        report_once(f"{manifest}: {what}" + (f" ({count} rows)" if count > 1 else ""))
    _similar_labels(manifest, [row for _, row in rows], spoken)
    found = [row for _, row in rows]
    _warn(str(manifest), in_train_and_dev(found))
    return found


def check_together(read: Sequence[tuple[Path, list[Row]]]) -> None:
    """Warn of voices that are in train of one folder and in dev of another. `read`: each folder
    and its rows."""
    alone = {who for _, rows in read for who in in_train_and_dev(rows)}
    both = in_train_and_dev([row for _, rows in read for row in rows])
    names = " and ".join(str(find_manifest(folder)) for folder, _ in read)
    _warn(f"{names} together", [who for who in both if who not in alone])


def _warn(where: str, voices: list[str]) -> None:
    if voices:
        report_once(
            f"{where}: warning: of {listed(voices)} there are recordings in train and in dev; "
            "what is measured on dev then says little about strangers"
        )


def voices_of(speaker: str) -> set[str]:
    """Whose voice it is: of a synthesized blend ("kokoro:fr/af_sky*0.40+am_adam*0.60") each of its
    voices ("kokoro:af_sky"), in whatever language they speak; else the speaker. Nobody: none."""
    if plain(speaker) in NOBODY:
        return set()
    engine, colon, voice = speaker.partition(":")
    if not colon:
        return {speaker}
    voice = voice.rpartition("/")[2]
    parts = voice.split("+") if "*" in voice else [voice]
    return {f"{engine}:{part.partition('*')[0]}" for part in parts}


def refuse(where: Path, problems: Sequence[str], of: str) -> None:
    """A DataError with the problems, up to a number, if there are any."""
    if not problems:
        return
    shown = [one_line(f"{where}: {problem}") for problem in problems[:MAX_PROBLEMS]]
    if len(problems) > MAX_PROBLEMS:
        shown.append(f"{where}: and {len(problems) - MAX_PROBLEMS} more {of}")
    raise DataError("\n".join(shown))


_reported: set[str] = set()


def report_once(text: str) -> None:
    """A line on stderr, once however often it is said."""
    if text not in _reported:
        _reported.add(text)
        print(one_line(text), file=sys.stderr)


def listed(names: Collection[str], maximum: int = 5) -> str:
    """Some names, and how many more there are."""
    some = ", ".join(list(names)[:maximum])
    return some + (f" and {len(names) - maximum} more" if len(names) > maximum else "")


@cache
def plain(text: str) -> str:
    """A label, kind or name as it is compared: "Hey-Samuel " is "hey_samuel"; full-width letters
    are letters, and marks without width nothing."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s_-]+", "_", text.strip().casefold())


def _text(manifest: Path) -> str:
    data = manifest.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{manifest}: not UTF-8: {error}; save it as CSV in UTF-8 (Excel: 'CSV UTF-8')"
        ) from None
    if "\0" in text:
        raise DataError(f"{manifest}: not UTF-8: it holds NUL; save it as CSV in UTF-8")
    return text


def _cells(manifest: Path) -> list[tuple[int, Row]]:
    """Line number and cells by column of each row that is not empty."""
    text = _text(manifest)
    first, _, rest = text.partition("\n")
    declared = re.fullmatch(r"sep=(.)\s*", first)  # Excel's way to name the separator
    first = rest.partition("\n")[0] if declared else first
    found = {mark: _known(first.split(mark)) for mark in _SEPARATORS}
    mark = declared[1] if declared else max(found, key=lambda m: found[m])
    try:
        lines = csv.reader(
            io.StringIO(rest if declared else text, newline=""),
            delimiter=mark,
            skipinitialspace=True,
        )
        header = [plain(name) for name in next(lines, [])]
        _check_header(manifest, header, mark)
        rows, problems = [], []
        for cells in lines:
            number = lines.line_num + bool(declared)
            while len(cells) > len(header) and not cells[-1].strip():
                cells.pop()
            if not any(cell.strip() for cell in cells):
                continue
            row = {
                name: cell if name == "label" else cell.strip()
                for name, cell in zip(header, cells, strict=False)
            }
            if len(cells) > len(header):
                problems.append(
                    f"row {number} has {len(cells)} cells for {len(header)} columns: "
                    f"put quotes around what holds a '{mark}': {cells[0]}"
                )
            elif missing := [c for c in COLUMNS if c not in row]:
                problems.append(f"row {number} has too few columns, no {missing[0]}: {cells[0]}")
            rows.append((number, row))
    except csv.Error as error:
        raise DataError(f"{manifest}: row {lines.line_num}: not CSV: {error}") from None
    refuse(manifest, problems, "rows")
    if mark != ",":
        report_once(f"{manifest}: its separator is read as {_SEPARATORS.get(mark, repr(mark))}")
    return rows


def _known(header: Iterable[str]) -> int:
    return len({plain(name.strip('"')) for name in header} & set(COLUMNS))


def _check_header(manifest: Path, header: list[str], mark: str) -> None:
    for name in COLUMNS:
        if name not in header:
            others = [column for column in header if column not in COLUMNS]
            similar = difflib.get_close_matches(name, others, 1, 0.6)
            hint = f"; is it '{similar[0]}'? Rename it" if similar else ""
            raise DataError(
                one_line(
                    f"{manifest}: column {name} is missing{hint}; its first row is to name "
                    f"{', '.join(COLUMNS)}, separated by commas, semicolons or tabs"
                )
            )
        if header.count(name) > 1:
            raise DataError(f"{manifest}: column {name} is there {header.count(name)} times")


def _clean(data: Path, row: Row, spoken: Data | None, read: Counter[str]) -> None:
    """Bring one row into its form, or raise what is wrong with it."""
    row["path"] = _path(data, row["path"])
    row["split"] = _split(row["split"], read)
    row["label"] = _label(row["label"], spoken)
    row["kind"] = _kind(row["kind"], row["label"], spoken, read)


def _path(data: Path, given: str) -> str:
    if not given:
        raise DataError("the path is empty; name a file, or remove the row")
    path = given
    if "\\" in path and not (data / path).is_file():
        path = path.replace("\\", "/")
    path = posixpath.normpath(path)
    if path.startswith(("/", "../")) or path == ".." or PureWindowsPath(path).drive:
        raise DataError(
            f"path '{given}' leads out of the data folder; move or link the file into "
            "it, and give its path from there"
        )
    return path


def _label(given: str, spoken: Data | None) -> str:
    """What decides whether a recording is the word: nothing is guessed of it."""
    words = (*spoken.positive, *spoken.exclude) if spoken else ()
    for meant in (*words, "near"):
        if given != meant and given not in words and plain(given) == plain(meant):
            raise DataError(
                f"label '{given}' is not '{meant}', but differs in case, blanks or "
                f"hyphens only; write '{meant}'"
            )
    return given.strip()


def _split(given: str, read: Counter[str]) -> str:
    split = plain(given)
    if split == plain(HELD_OUT):
        raise DataError(
            f"a split cannot be named '{HELD_OUT}', which stands for the voices of train "
            "that nothing learns from"
        )
    if split in SPLITS:
        if split != given:
            read[f"split '{given}' is read as '{split}'"] += 1
        return split
    similar = difflib.get_close_matches(split, SPLITS, 1, 0.6)
    if similar or not split:
        raise DataError(
            f"split '{given}'; allowed: {' and '.join(SPLITS)}"
            + (f"; is it '{similar[0]}'?" if similar else ", or another name")
        )
    return given


def _kind(given: str, label: str, spoken: Data | None, read: Counter[str]) -> str:
    """A known kind, or the label: the recording of one word."""
    if given == label and spoken and label in spoken.positive:
        return given
    kind = plain(given)
    if kind in KINDS:
        if kind != given:
            read[f"kind '{given}' is read as '{kind}'"] += 1
        return kind
    similar = difflib.get_close_matches(kind, KINDS, 1, 0.8)
    if kind and kind == plain(label) and not similar:
        return label
    hint = f"; is it '{similar[0]}'?" if similar else ""
    if spoken and label in spoken.positive:
        hint = f"; a recording of the word has kind '{label}', too"
    raise DataError(
        f"kind '{given}' with label '{label}'{hint}; allowed: {', '.join(KINDS)}, or "
        "for a word that people say the same as its label"
    )


def _once(
    rows: list[tuple[int, Row]],
    spoken: Data | None,
    problems: dict[str, list[int]],
    read: Counter[str],
) -> list[tuple[int, Row]]:
    """Each file once for each kind; a problem where it has two meanings."""
    repeated = "rows that say again what another does are left out"
    first: dict[str, tuple[int, Row]] = {}
    seen: set[tuple[str, ...]] = set()
    selected = []
    for line, row in rows:
        before, other = first.setdefault(row["path"], (line, row))
        mark = tuple(row[c] for c in COLUMNS[:-1])
        if mark in seen:
            read[repeated] += 1
            continue
        seen.add(mark)
        selected.append((line, row))
        barred = {*spoken.positive, *spoken.exclude} if spoken else set()
        for what, differs in (
            ("split", row["split"] != other["split"]),
            ("label", row["label"] != other["label"] and barred & {row["label"], other["label"]}),
        ):
            if differs:
                text = f"path '{row['path']}' is in row {before} too, with another {what}"
                problems.setdefault(f"{text}; keep one of them", []).append(line)
    return selected


def _similar_labels(manifest: Path, rows: list[Row], spoken: Data | None) -> None:
    """Say which labels of words are so near the wake word's that they may be slips."""
    words = (*spoken.positive, *spoken.exclude) if spoken else ()
    labels = Counter(row["label"] for row in rows if row["kind"] == row["label"] not in words)
    for label, count in labels.items():
        similar = difflib.get_close_matches(plain(label), map(plain, words), 1, 0.85)
        if similar:
            report_once(
                f"{manifest}: warning: label '{label}' ({count} rows) is near '{similar[0]}' and "
                "taken as other speech; if it has the word, give it that label"
            )


def in_train_and_dev(rows: list[Row]) -> list[str]:
    """Voices with recordings in train and in dev."""
    voices: list[dict[str, str]] = [
        {plain(who): who for r in rows if r["split"] == split for who in voices_of(r["speaker"])}
        for split in SPLITS
    ]
    return sorted(voices[0][name] for name in voices[0].keys() & voices[1].keys())
