# SPDX-License-Identifier: Apache-2.0
"""All files of an exported library: the engine's and the words' C merged into few, and around it
what a build system needs, from templates/export/."""

from __future__ import annotations

import io
import wave
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wakestate import ROOT, __version__
from wakestate.audio import RATE
from wakestate.contract.kernels import Kernels
from wakestate.convert.compile.sources import ENGINE, FIRMWARE
from wakestate.convert.emit import compile_word, generate, generate_words
from wakestate.convert.features import work_words
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.library.forms import FORMS, Form
from wakestate.convert.library.merge import Merger
from wakestate.convert.manifest import never_wakes, read_manifest
from wakestate.render import TEMPLATES, heading, render, rows
from wakestate.words import Word, load_word

HEADER = "wakestate/wakestate.h"
_FOLDERS = [FIRMWARE, FIRMWARE / "include"]
_SHARED = """#ifndef WS_SHARED_KERNELS
#define WS_SHARED_KERNELS /* one copy for all words */
#endif
"""
SHORT = 4  # seconds of a recording in C that a small chip has room for
Files = dict[str, bytes]


@dataclass(frozen=True)
class Given:
    """A word to export: its word file, and the folder of its model."""

    path: Path
    model: Path


@dataclass(frozen=True)
class Library:
    """What is exported."""

    given: Sequence[Given]
    form: str
    kernels: Kernels = "plain"
    sample: Path | None = None  # a 16 kHz mono 16-bit WAV
    costs: Sequence[Mapping[str, Any]] = ()  # counted, of each core

    @property
    def command(self) -> str:
        """How to make it again."""
        words = " ".join(f"--word {one.path.stem}" for one in self.given)
        return f"wakestate export {words} --as {self.form} --kernels {self.kernels} --out DIR"

    def files(self) -> Files:
        """Every file's content, by its path. ConvertError."""
        words = [load_word(one.path) for one in self.given]
        generate_words([one.path for one in self.given], words)  # refuses what does not fit
        for one, word in zip(self.given, words, strict=True):
            if never_wakes(word, read_manifest(one.model)):
                raise ConvertError(
                    f"{one.model}: no thresholds are set, so nothing would wake it; hint: "
                    f"wakestate evaluate --word {one.path} --model {one.model} --set-thresholds"
                )
        form = FORMS[self.form]
        found = self._sources(form, words) | self._recording(form)
        values = self._values(form, words, found)
        folder = TEMPLATES / "export" / self.form
        for path in sorted(folder.rglob("*.j2")):
            name = path.relative_to(folder).as_posix().removesuffix(".j2")
            found[name.replace("NAME", values["name"])] = _rendered(f"{self.form}/{name}", values)
        found[f"{form.test}/test.c"] = _rendered("test.c", values)
        if form.reads_files:
            found[f"{form.example}/recording.h"] = _rendered("recording.h", values)
        found["LICENSE"] = (ROOT / "LICENSE").read_bytes()
        if self.form == "cmsis-pack":
            found[f"Wakestate.{values['name']}.{__version__}.pack"] = _zipped(found)
        return found

    def _sources(self, form: Form, words: Sequence[Word]) -> Files:
        """The engine, the front end and the words, with their headers."""
        texts: dict[str, str] = {}
        for one, word in zip(self.given, words, strict=True):
            texts |= generate(word, one.path, one.model, self.kernels)
        own = {f"ws_{word.name}.h" for word in words}

        def public(name: str) -> str | None:
            return form.public if name.startswith("wakestate/") else name if name in own else None

        options = self.command.replace(f" --as {self.form}", "").removesuffix(" --out DIR")
        first = f"/* {heading(f'  {options}')} */\n"  # the same in every form
        merger = Merger(_FOLDERS, texts, public)
        header = Merger(_FOLDERS, {}, lambda _: None).merged(HEADER)
        found = {
            f"{form.headers}/{form.public}": first + header.replace(HEADER, form.public),
            "src/wakestate.c": first + merger.merged(*ENGINE),
            "src/ws_frontend.c": merger.merged("ws_frontend.c"),
        }
        for name in sorted(own):
            source = merger.merged(name.replace(".h", ".c"))
            shared = f'{_SHARED}#include "{name}"\n'
            found[f"{form.headers}/{name}"] = merger.merged(name)
            found[f"src/{name.replace('.h', '.c')}"] = (
                source.replace(f'#include "{name}"\n', shared, 1) if len(own) > 1 else source
            )
        return {name: text.encode() for name, text in found.items()}

    def _recording(self, form: Form) -> Files:
        """What the example processes: a WAV file, or C."""
        if form.reads_files:
            return {f"{form.example}/sample.wav": _wav(self.sample)} if self.sample else {}
        pcm = _pcm(self.sample) if self.sample else np.zeros(RATE, np.int16)
        values = {
            "header": heading(f"  {self.command}"),
            "known": self.sample is not None,
            "seconds": f"{len(pcm) / RATE:.1f}",
            "bytes": pcm.nbytes,
            "short": rows(pcm[: SHORT * RATE].tolist()),
            "rest": rows(pcm[SHORT * RATE :].tolist()),
            "short_s": SHORT,
        }
        return {f"{form.example}/sample.h": _rendered("sample.h", values)}

    def _values(self, form: Form, words: Sequence[Word], found: Files) -> dict[str, Any]:
        """What the templates show."""
        names = [word.name for word in words]
        headers = [f"ws_{name}.h" for name in names]
        programs = [
            compile_word(word, one.model, self.kernels)
            for word, one in zip(words, self.given, strict=True)
        ]
        return {
            "header": heading(f"  {self.command}"),
            "command": self.command,
            "version": __version__,
            "form": form,
            "form_name": self.form,
            "kernels": self.kernels,
            "name": "_".join(names),
            "words": words,
            "engine": _engine(names),
            "sample": self.sample is not None,
            "sources": sorted(name for name in found if name.endswith(".c")),
            "headers": headers,
            "includes": [form.one_header] if form.one_header else [form.public, *headers],
            "weights": sum(program.weight_bytes for program in programs),
            "network_ram": sum(p.state_bytes + max(p.arena_bytes, 4) for p in programs),
            "frontend_ram": 4 * work_words(words[0].frontend)
            + 2 * words[0].frontend.window_samples,
            "costs": self.costs,
        }


def _engine(names: Sequence[str]) -> str:
    """The type of an engine for all words."""
    if len(names) <= 3:
        return f"WS_ENGINE{len(names) if len(names) > 1 else ''}({', '.join(names)})"
    more = "".join(f" + ws_{name}_more_ram" for name in names[1:])
    return f"WS_MEMORY_(ws_{names[0]}_ram{more})"


def _rendered(template: str, values: Mapping[str, Any]) -> bytes:
    return render(f"export/{template}.j2", **values).encode()


def _zipped(files: Files) -> bytes:
    """A zip file of them, the same whenever it is made."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name)  # of 1980
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return made.getvalue()


def _wav(path: Path) -> bytes:
    _pcm(path)
    return path.read_bytes()


def _pcm(path: Path) -> np.ndarray:
    """The samples of a 16 kHz mono 16-bit WAV. ConvertError."""
    try:
        with wave.open(str(path), "rb") as file:
            given = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            samples = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise ConvertError(f"{path}: cannot be read: {error}; hint: give a WAV file") from None
    if given != (1, 2, RATE):
        raise ConvertError(
            f"{path}: {given[0]} channels, {8 * given[1]} bits, {given[2]} Hz; hint: give a WAV of "
            f"1 channel, 16 bits, {RATE} Hz"
        )
    return np.frombuffer(samples, "<i2").astype(np.int16)
