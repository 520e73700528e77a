# SPDX-License-Identifier: Apache-2.0
"""The docs as a static site: links that lead somewhere, nothing from elsewhere, no script."""

from __future__ import annotations

import posixpath
import re
from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("markdown_it")

from wakestate.web.docs import EMULATOR, MENU, pages, write_docs


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write_docs(folder)
    return folder


def test_every_link_leads_somewhere(site: Path) -> None:
    """To a page and, where it names one, to a heading there; those of the emulator aside."""
    texts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(texts) == len(pages()) > 20
    checked = 0
    for path, text in texts.items():
        for href in map(unescape, re.findall(r'(?:href|src)="([^"]*)"', text)):
            if re.match("https?:", href):
                continue
            name, _, anchor = href.partition("#")
            target = Path(posixpath.normpath(path.parent / name)) if name else path
            if target.is_relative_to(site / EMULATOR):
                continue
            assert target.is_file(), f"{path.relative_to(site)}: {href}"
            assert not anchor or f'id="{anchor}"' in texts[target], f"{path.name}: {href}"
            checked += 1
    assert checked > 500


def test_a_page_runs_nothing_and_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text and "style=" not in text and "default-src 'none'" in text
        assert not re.search(r'src="(?:https?:)?//', text)
        assert text.count("<h1") == 1


def test_the_menu_has_the_guides(site: Path) -> None:
    text = (site / "docs/training.html").read_text(encoding="utf-8")
    for titles in MENU.values():
        for title in titles.values():
            assert f">{title}</a>" in text
    assert '<a href="../index.html">Overview</a>' in text
