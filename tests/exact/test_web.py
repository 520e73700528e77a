# SPDX-License-Identifier: Apache-2.0
"""The engine as WebAssembly: the bits of the host emulator and of the references, in all states."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.examples import typed_example
from tests.support.executors import ALEXA, ROOT
from tests.support.firmware_build import build
from tests.support.vectors import (
    FRONTEND,
    Expected,
    audio_windows,
    frontend_case,
    layers_at_the_end,
    random_pcm,
    random_windows,
    sample,
)
from tests.support.web_module import RATE, Module
from wakestate.__main__ import main
from wakestate.boards.vectors import Vectors, differences, read_results
from wakestate.convert.frontend import frames, reference, to_int8
from wakestate.errors import UserError
from wakestate.web.module import build_module, check_tools, compile_to
from wakestate.web.server import server
from wakestate.web.site import MODULE

wasmtime = pytest.importorskip("wasmtime")
GENERATED = ROOT / "build/generated"


def plain(word: str) -> Path:
    """The C of a word, once it was built."""
    return GENERATED / word / "plain"


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """Skips where the compiler is not here."""
    try:
        check_tools()
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def alexa(tmp_path_factory: pytest.TempPathFactory) -> Module:
    path = tmp_path_factory.mktemp("wasm") / MODULE
    build("alexa", "host", program="emulator")
    build_module(["alexa"], [plain("alexa")], plain("alexa"), path)
    return Module("alexa", path)


def host_lines(words: str, state: int, pcm: NDArray[np.int16]) -> list[str]:
    options = ["--scores", "--state", ALEXA.word.states[state], "-"]
    done = build(words, "host", program="emulator").run("emulator", *options, stdin=pcm.tobytes())
    return done.stdout.decode().splitlines()


def assert_same(words: str, module: Module, pcm: NDArray[np.int16]) -> int:
    """Line for line in every state; how many wakes there are."""
    wakes = 0
    for state in range(len(ALEXA.word.states)):
        expected = host_lines(words, state, pcm)
        assert module.process(state, pcm)[1] == expected
        wakes += sum('"wake"' in line for line in expected)
    return wakes


def synthetic() -> NDArray[np.int16]:
    """The sample, noise at every level up to full scale, a square wave, silence; odd in length."""
    square = np.where(np.arange(RATE) % 100 < 50, 32767, -32768).astype(np.int16)
    noise = random_pcm().astype(np.int16)
    return np.concatenate([sample(), noise, square, np.zeros(RATE + 77, np.int16)])


def test_the_same_lines_as_the_host_emulator_in_all_states(alexa: Module) -> None:
    assert assert_same("alexa", alexa, synthetic()) >= 8 * 2


@dataclass(frozen=True)
class Fetched:
    """A file of the page, as a browser gets it."""

    kind: str
    content: bytes


@pytest.fixture(scope="module")
def fetched() -> dict[str, Fetched]:
    """Files of the page of two words, by their names, from the command: what replaces the browser
    fetches them and interrupts it."""
    found: dict[str, Fetched] = {}

    def fetch(url: str) -> None:
        try:
            port = int(url.rstrip("/").rpartition(":")[2])
            with pytest.raises(UserError, match="--port 0 takes a free one"):
                server(Path(), port)
            for name in ("", "main.js", MODULE):
                with urlopen(f"http://127.0.0.1:{port}/{name}") as answer:
                    found[name] = Fetched(answer.headers["Content-Type"], answer.read())
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    def browse(url: str) -> bool:
        threading.Thread(target=fetch, args=(url,)).start()
        return True

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(webbrowser, "open", browse)
            patch.chdir(ROOT)
            assert main([*typed_example("web serve", {}), "--port", "0"]) == 130
    finally:
        signal.signal(signal.SIGINT, before)
    return found


def test_two_words_at_once(fetched: dict[str, Fetched], tmp_path: Path) -> None:
    (tmp_path / MODULE).write_bytes(fetched[MODULE].content)
    both = "alexa computer"
    assert assert_same(both, Module(both, tmp_path / MODULE), sample()) >= 8


def test_the_same_lines_on_recordings_of_people(alexa: Module, data: Path) -> None:
    paths = sorted((data / "dev/alexa").rglob("*.flac"))[::16]
    pcm = np.concatenate([soundfile.read(path, dtype="int16")[0] for path in paths])
    assert assert_same("alexa", alexa, pcm) >= len(paths)


def test_columns_are_those_of_the_integer_reference(alexa: Module) -> None:
    pcm = synthetic()
    columns, _ = alexa.process(0, pcm)
    assert np.array_equal(columns, to_int8(reference(FRONTEND, frames(FRONTEND, pcm))))


def test_sensitivity_and_state_change_while_it_runs(alexa: Module) -> None:
    """A threshold that nothing reaches, and as shipped again; a word that is off."""
    pcm = sample()
    for sensitivity, off, count in ((-2000, 0, 0), (0, 1, 0), (0, 0, 3)):
        alexa("configure", 0, sensitivity, 0, off)
        assert sum('"wake"' in line for line in alexa.process(0, pcm)[1]) == count
    alexa("restart", 0)
    alexa.push(pcm[:RATE])
    alexa("set_state", 5)
    assert {event[2] for event in alexa.push(pcm[RATE:])[1]} == {5}


def test_one_word_is_small(alexa: Module) -> None:
    assert alexa.path.stat().st_size <= 150_000


def run(program: Path, vectors: Vectors, folder: Path) -> Expected:
    """What a .wasm of firmware/test/vectors.c gives."""
    vectors.write(folder / "in.bin")
    given, written = (folder / "in.bin").read_bytes(), {2: b"", 4: b""}
    at = 0

    def read(caller: Any, to: int, count: int) -> int:
        nonlocal at
        part = given[at : at + count]
        at += len(part)
        caller["memory"].write(caller, part, to)
        return len(part)

    def write(caller: Any, file: int, start: int, count: int) -> None:
        written[file] += bytes(caller["memory"].read(caller, start, start + count))

    store = wasmtime.Store()
    linker, i32 = wasmtime.Linker(store.engine), wasmtime.ValType.i32()
    for name, function, count in (("read", read, 2), ("write", write, 3)):
        kind = wasmtime.FuncType([i32] * count, [i32] if name == "read" else [])
        linker.define_func("io", name, kind, function, access_caller=True)
    module = wasmtime.Module.from_file(store.engine, str(program))
    status = linker.instantiate(store, module).exports(store)["program"](store)
    assert (status, written[2]) == (0, b"")
    (folder / "out.bin").write_bytes(written[4])
    return read_results(folder / "out.bin")


def test_the_vector_corpus(tmp_path: Path) -> None:
    """Front end and every layer, on audio and on noise; the network in all states."""
    build("alexa", "host", program="emulator")
    names = [f"firmware/test/{name}.c" for name in ("vectors", "records")]
    names += ["firmware/programs/common/text.c", "tests/native/wasm_io.c"]
    names += [f"firmware/engine/{name}.c" for name in ("engine", "word", "detector")]
    sources = [ROOT / name for name in names]
    sources += [plain("alexa") / f"ws_{name}.c" for name in ("alexa", "frontend", "words")]
    compile_to(tmp_path / "vectors.wasm", sources, [plain("alexa")], ["-DWS_TRACE"])
    vectors, expected = frontend_case(sample())
    windows = np.concatenate([audio_windows(sample())[::8], random_windows()[::8]])
    for state in range(len(ALEXA.word.states)):
        for window in windows:
            vectors.network(state, window)
        expected += layers_at_the_end(state, windows)
    found = differences(expected, run(tmp_path / "vectors.wasm", vectors, tmp_path))
    assert not found, "reference and WebAssembly differ:\n" + "\n".join(found)


def test_the_page_is_a_folder_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that name each other and no foreign host, and the words' facts."""
    monkeypatch.chdir(ROOT)
    page = tmp_path / "page"
    assert main(["web", "build", "--word", "alexa", "--out", str(page)]) == 0
    assert capfd.readouterr().out == f"{page}\n"
    for path in page.iterdir():
        if path.suffix in (".html", ".css", ".js", ".json"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\w+://(?!www\.w3\.org/)\w", text), path.name
            for name in re.findall(r"""(?:from|src=|href=|fetch\(|Module\()\s*"([^"]+)\"""", text):
                assert (page / name).is_file(), f"{path.name}: {name}"
    about = json.loads((page / "about.json").read_text(encoding="utf-8"))
    [word] = about["words"]
    assert (word["name"], word["label"], word["sample"]) == ("alexa", "alexa", "alexa.wav")
    assert (page / word["sample"]).read_bytes() == (ALEXA.folder / "sample.wav").read_bytes()
    assert {row["core"]: row["flash"] for row in about["costs"]}["Cortex-M4"] > 50_000


def test_it_is_served_to_this_computer_as_what_it_is(fetched: dict[str, Fetched]) -> None:
    kinds = {"": "text/html", "main.js": "text/javascript", MODULE: "application/wasm"}
    assert {name: found.kind for name, found in fetched.items()} == kinds
    for name in ("main.js", MODULE):
        assert fetched[name].content == (ROOT / "build/web/alexa_computer" / name).read_bytes()
