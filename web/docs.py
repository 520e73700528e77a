# SPDX-License-Identifier: Apache-2.0
"""The project's Markdown as pages, with the emulator: a static site. Its one script searches."""

from __future__ import annotations

import json
import posixpath
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from wakestate import ROOT, __version__
from wakestate.errors import UserError
from wakestate.files import reading, write_atomically
from wakestate.render import render
from wakestate.web.api import HEADER, api

STYLE, SCRIPT = (Path(__file__).parent / name for name in ("docs.css", "search.js"))
INDEX = "search-index.js"
API = "docs/api.md"  # made of the header, to which links lead there
EMULATOR = "emulator"  # its folder
#: What the pages are listed under; a name of the first is its title there.
MENU: dict[str, dict[str, str]] = {
    "Start": {
        "README.md": "Overview",
        "docs/web.md": "In the browser",
        "docs/training.md": "Your own word",
        "docs/scale.md": "On several machines",
        "docs/integrate.md": "Into your firmware",
        "docs/troubleshooting.md": "Troubleshooting",
    },
    "How good": {
        "docs/benchmark.md": "Benchmark",
        "docs/performance.md": "Costs",
        "models/alexa/README.md": "Alexa",
        "models/computer/README.md": "Computer",
        "models/hey_samuel/README.md": "Hey Samuel",
        "docs/experiments/README.md": "Experiments",
    },
    "How it works": {
        "docs/how.md": "In pictures",
        "docs/architecture.md": "Architecture",
        "docs/firmware.md": "Firmware and emulator",
        "docs/frontend.md": "Front end",
        "docs/compile.md": "Any .tflite to C",
        "docs/protocol.md": "Serial protocol",
        "docs/verifier.md": "Verifier",
    },
    "Reference": {
        "docs/glossary.md": "Glossary",
        "docs/commands.md": "Commands",
        "docs/words.md": "Word files",
        API: "C interface",
        "docs/boards.md": "Boards",
        "docs/boards/reference.md": "board.toml",
        "docs/porting.md": "A new board",
        "docs/testing.md": "Tests",
        "docs/fuzzing.md": "Fuzzing",
        "CHANGELOG.md": "Changes",
    },
}


@dataclass(frozen=True)
class Page:
    """A Markdown file of the project, by its path there."""

    source: str

    @property
    def target(self) -> str:
        """Its path in the site."""
        folder, name = posixpath.split(self.source)
        stem = "index" if name == "README.md" else name.removesuffix(".md").lower()
        return posixpath.join(folder, f"{stem}.html")

    def markdown(self) -> str:
        """What it says."""
        return api() if self.source == API else (ROOT / self.source).read_text(encoding="utf-8")

    def to(self, target: str) -> str:
        """A path of the site, as a link on this page."""
        return posixpath.relpath(target, posixpath.dirname(self.target) or ".")


def pages() -> dict[str, Page]:
    """All pages, by their source."""
    if not (ROOT / "docs").is_dir():
        raise UserError("the site is made of a checkout's docs/: git clone the project")
    found = [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    listed = [name for titles in MENU.values() for name in titles]
    return {name: Page(name) for name in dict.fromkeys([*listed, *sorted(found)])}


def _slug(text: str) -> str:
    """A heading's anchor, as on code hosts."""
    return re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")


def _inside(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from token.children or ()


def _link(page: Page, known: dict[str, Page], href: str) -> str | None:
    """Where a link leads in the site; None: to nothing in it."""
    if re.match(r"https?:|#", href):
        return href
    path, mark, anchor = href.partition("#")
    source = posixpath.normpath(posixpath.join(posixpath.dirname(page.source), path))
    source = {HEADER: API}.get(source, source)
    source = source if source in known else posixpath.join(source, "README.md")
    return page.to(known[source].target) + mark + anchor if source in known else None


def _name_links(tokens: Sequence[Token]) -> None:
    """A link that shows a Markdown file's path shows the menu's name of it, or the file's."""
    named = {source: title for titles in MENU.values() for source, title in titles.items()}
    names = {posixpath.basename(s): t for s, t in named.items() if not s.endswith("README.md")}
    for token, text in pairwise(tokens):
        if token.type == "link_open" and text.type == "text" and text.content.endswith(".md"):
            file = posixpath.basename(text.content)
            text.content = names.get(file, file.removesuffix(".md"))


Entry = tuple[str, str, str, str]  # of the search: title, heading, link, text


def _entries(page: Page, title: str, tokens: Sequence[Token]) -> list[Entry]:
    """What the search finds: each heading of a page with the text below it."""
    sections: list[tuple[str, str, list[str]]] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            heading = following.content.replace("`", "")
            sections.append((heading, f"{page.target}#{token.attrs['id']}", []))
        elif token.type in ("inline", "fence", "code_block") and sections:
            sections[-1][2].append(token.content)
    return [
        (title, heading, link, re.sub(r"`|\*\*", "", " ".join(texts[1:])))
        for heading, link, texts in sections
    ]


def _body(page: Page, known: dict[str, Page], out: Path) -> tuple[str, str, list[Entry]]:
    """Title and HTML of a page, and what the search finds there; its pictures are copied."""
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(page.markdown())
    title = page.source
    opened: list[bool] = []  # of each open link: whether it leads somewhere
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open" and following is not None:
            text = following.content.replace("`", "")
            token.attrSet("id", _slug(text))
            title = text if token.tag == "h1" else title
    flat = list(_inside(tokens))
    _name_links(flat)
    for token in flat:
        if token.type == "link_open":
            target = _link(page, known, str(token.attrs["href"]))
            opened.append(target is not None)
            token.attrs = {"href": target} if target else {"class": "file"}
        if token.type in ("link_open", "link_close") and not opened[-1]:
            token.tag = "span"
        if token.type == "link_close":
            opened.pop()
        if token.type in ("th_open", "td_open") and "style" in token.attrs:
            token.attrs = {"class": str(token.attrs["style"]).partition(":")[2]}  # right, center
        if token.type == "image":
            source = posixpath.join(posixpath.dirname(page.source), str(token.attrs["src"]))
            (out / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, out / source)
    html = str(markdown.renderer.render(tokens, markdown.options, {}))
    # Wide ones scroll, also by keyboard.
    html = html.replace("<table>", '<div class="table" tabindex="0"><table>')
    html = html.replace("</table>", "</table></div>").replace("<pre>", '<pre tabindex="0">')
    html = re.sub(r"<th( [^>]*)?></th>", r"<td\1></td>", html)  # a corner heads nothing
    return title, html, _entries(page, title, tokens)


def _copy_reports(reports: Sequence[Path], out: Path) -> dict[str, str]:
    """Copy pages that `wakestate report` wrote; their paths in the site, and titles. UserError."""
    copied: dict[str, str] = {}
    for path in reports:
        with reading(path):
            text = path.read_text(encoding="utf-8")
        found = re.search(r"<title>(.*?: report, .*?)</title>", text)
        if found is None:
            raise UserError(f"--report {path}: is no page that `wakestate report` wrote")
        title = unescape(found[1])
        target = f"reports/{_slug(title)}.html"
        if target in copied:
            raise UserError(f"--report {path}: another is called '{title}' as well; give one")
        (out / target).parent.mkdir(exist_ok=True)
        write_atomically(out / target, text)
        copied[target] = title
    return copied


def write_docs(out: Path, reports: Sequence[Path] = ()) -> None:
    """Write all pages below `out`, with the emulator in out/emulator.

    `reports`: pages that `wakestate report` wrote, which the menu names as well. UserError.
    """
    known = pages()
    out.mkdir(parents=True, exist_ok=True)
    copied = _copy_reports(reports, out)
    for file in (STYLE, SCRIPT):
        shutil.copyfile(file, out / file.name)
    entries: list[Entry] = []
    for page in known.values():
        title, body, found = _body(page, known, out)
        entries += found
        menu = {
            group: [
                (name, page.to(known[source].target), source == page.source)
                for source, name in titles.items()
            ]
            for group, titles in MENU.items()
        }
        if copied:
            menu["Reports"] = [(name, page.to(path), False) for path, name in copied.items()]
        text = render(
            "site.html.j2",
            title=title,
            body=body,
            menu=menu,
            home=page.to("index.html"),
            emulator=page.to(f"{EMULATOR}/index.html"),
            styles=[page.to(f"{EMULATOR}/style.css"), page.to(STYLE.name)],
            icon=page.to(f"{EMULATOR}/icon.svg"),
            root=page.to("index.html").removesuffix("index.html"),
            script=page.to(SCRIPT.name),
            version=__version__,
        )
        write_atomically(out / page.target, text)
    index = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    write_atomically(out / INDEX, f"const searchIndex = {index};\n")
