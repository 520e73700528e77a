# SPDX-License-Identifier: Apache-2.0
"""Tables for a terminal and in Markdown."""

from __future__ import annotations

from wakestate.tables import markdown, pipe, text

ROWS = [
    {"what": "step", "bytes": 1234567, "share": "0.5"},
    {"what": "  a|b", "bytes": None, "share": "12.0", "more": True},
]


def test_text_aligns_and_keeps_indents() -> None:
    assert text(ROWS).splitlines() == [
        "what       bytes  share  more",
        "step   1,234,567    0.5",
        "  a|b              12.0  True",
    ]


def test_markdown_is_not_padded() -> None:
    assert markdown(ROWS).splitlines() == [
        "| what | bytes | share | more |",
        "|---|---:|---:|---:|",
        "| step | 1,234,567 | 0.5 |  |",
        "|   a/b |  | 12.0 | True |",
    ]


def test_headings_need_not_differ() -> None:
    found = pipe(["", "n", "n"], [["a", "1", "2"]]).splitlines()
    assert found == ["|  | n | n |", "|---|---|---|", "| a | 1 | 2 |"]


def test_without_rows_there_is_no_table() -> None:
    assert text([]) == markdown([]) == ""
