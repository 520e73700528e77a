# SPDX-License-Identifier: Apache-2.0
"""The docs as a static site: links that lead somewhere, nothing from elsewhere, one script."""

from __future__ import annotations

import json
import posixpath
import re
from html import unescape
from pathlib import Path

import pytest

pytest.importorskip("markdown_it")

from wakestate import ROOT
from wakestate.errors import UserError
from wakestate.web.api import HEADER
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
        scripts = re.findall(r"<script[^>]*>", text)
        assert len(scripts) == 1 and 'search.js" data-root="' in scripts[0]
        assert "style=" not in text and "default-src 'none'; style-src 'self'" in text
        assert not re.search(r'src="(?:https?:)?//', text)
        assert text.count("<h1") == 1


def test_reports_are_in_the_menu(tmp_path: Path) -> None:
    """A page that `wakestate report` wrote, as it is; and no other page."""
    report, other = tmp_path / "report.html", tmp_path / "other.html"
    report.write_text("<title>jarvis &amp; co: report, split dev</title>\n<h1>It misses</h1>")
    other.write_text("<title>Garden</title>")
    write_docs(tmp_path / "site", [report])
    made = tmp_path / "site/reports/jarvis--co-report-split-dev.html"
    assert made.read_text() == report.read_text()
    page = (tmp_path / "site/docs/web.html").read_text(encoding="utf-8")
    assert (
        '<a href="../reports/jarvis--co-report-split-dev.html">jarvis &amp; co: report, split dev'
        in page
    )
    for given, wording in (
        ([other], "is no page that `wakestate report` wrote"),
        ([report, report], "another is called 'jarvis & co: report, split dev' as well"),
        ([tmp_path / "none"], "none: "),
    ):
        with pytest.raises(UserError, match=wording):
            write_docs(tmp_path / "site", given)


def test_links_have_the_names_of_pages(site: Path) -> None:
    """Not the paths of files, which a site does not show; the header is the page made of it."""
    text = (site / "index.html").read_text(encoding="utf-8")
    assert '<a href="docs/training.html">Your own word</a>' in text
    assert '<a href="docs/api.html">wakestate.h</a>' in text
    assert not re.search(r"<a [^>]*>[^<]*\.md</a>", text)


def test_the_menu_has_the_guides(site: Path) -> None:
    text = (site / "docs/training.html").read_text(encoding="utf-8")
    for titles in MENU.values():
        for title in titles.values():
            assert f">{title}</a>" in text
    assert '<a href="../index.html">Overview</a>' in text


def test_the_search_has_every_heading_and_its_links_lead_there(site: Path) -> None:
    text = (site / "search-index.js").read_text(encoding="utf-8")
    entries = json.loads(text.removeprefix("const searchIndex = ").rstrip().removesuffix(";"))
    headings = 0
    for path in site.rglob("*.html"):
        name, page = path.relative_to(site).as_posix(), path.read_text(encoding="utf-8")
        there = {f"{name}#{one}" for one in re.findall(r'<h[1-6] id="([^"]*)"', page)}
        assert there == {link for _, _, link, _ in entries if link.startswith(f"{name}#")}
        headings += len(there)
    assert headings > 100
    of = {heading: text for title, heading, _, text in entries if title == "C interface"}
    assert "const ws_model *ws_word_model(const void *engine" in of["ws_words"]


def test_the_interface_page_has_what_the_header_declares(site: Path) -> None:
    page = (site / "docs/api.html").read_text(encoding="utf-8")
    header = (ROOT / HEADER).read_text(encoding="utf-8")
    functions = set(re.findall(r"^\w[\w *]*?(ws_\w+)\(", header, re.MULTILINE))
    assert len(functions) > 8
    for name in functions:
        assert f"{name}(" in page
    for name in ("ws_init", "ws_event", "ws_config", "ws_poll"):
        assert f'<h2 id="{name}">' in page
    assert "} ws_word_state;" not in page  # private
