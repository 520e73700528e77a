# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium: files bit for bit, a fake microphone, two words, clips, axe."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.fuzz import bundles
from tests.support.chromium import Tab, chromium, program
from tests.support.examples import typed_example
from tests.support.executors import ALEXA, ROOT
from tests.support.firmware_build import build
from tests.support.vectors import sample
from wakestate.__main__ import main
from wakestate.errors import UserError
from wakestate.train.data.corpus import load_corpus
from wakestate.train.newword.recordings import import_recordings
from wakestate.web.docs import EMULATOR
from wakestate.web.module import check_tools
from wakestate.web.server import server

WORDS = ("alexa", "computer")
BOTH = " ".join(WORDS)
HOP = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of two words."""
    try:
        check_tools()
    except UserError as error:
        pytest.skip(str(error))
    made = tmp_path_factory.mktemp("page")
    with contextlib.chdir(ROOT):
        assert main(typed_example("web build", {"site": made})) == 0
    return made


def test_the_site_has_the_page(folder: Path, tmp_path: Path) -> None:
    with contextlib.chdir(ROOT):
        assert main(typed_example("web site", {"public": tmp_path})) == 0
    assert (tmp_path / "index.html").is_file()
    names = {path.name for path in folder.iterdir()}
    assert names <= {path.name for path in (tmp_path / EMULATOR).iterdir()}


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Its address."""
    with server(folder, 0) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://localhost:{made.server_port}/"
        made.shutdown()


@pytest.fixture(scope="module")
def recording(request: pytest.FixtureRequest) -> NDArray[np.int16]:
    """The sample, and where the data are here, people of the dev split who say either word."""
    parts = [sample()]
    try:
        folder = request.getfixturevalue("data") / "dev"
    except pytest.skip.Exception:
        return parts[0]
    for word in WORDS:
        parts += [read(path) for path in sorted((folder / word).rglob("*.*"))[5:40:20]]
    return np.concatenate([*parts, np.zeros(16000, np.int16)])


def read(path: Path) -> NDArray[np.int16]:
    """Of a file at 16 kHz."""
    return soundfile.read(path, dtype="int16")[0]


def skip_without_chromium() -> None:
    if program() is None:
        pytest.skip("chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def tab(
    folder: Path,
    recording: NDArray[np.int16],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Tab]:
    skip_without_chromium()
    place = tmp_path_factory.mktemp("chromium")
    soundfile.write(place / "microphone.wav", recording, 16000)
    fake = f"--use-file-for-fake-audio-capture={place / 'microphone.wav'}%noloop"
    with served(folder) as url, chromium(place / "profile", fake) as made:
        made.open(url)
        yield made
        assert not made.problems


def host_lines(state: int, pcm: NDArray[np.int16], words: str = BOTH) -> list[str]:
    """Of the host emulator."""
    options = ["--scores", "--name", "x.wav", "--state", ALEXA.word.states[state], "-"]
    done = build(words, "host", program="emulator").run("emulator", *options, stdin=pcm.tobytes())
    return done.stdout.decode().splitlines()


def wav(pcm: NDArray[np.int16]) -> bytes:
    with io.BytesIO() as file:
        soundfile.write(file, pcm, 16000, format="WAV", subtype="PCM_16")
        return file.getvalue()


def open_bytes(tab: Tab, name: str, data: bytes) -> None:
    """Opens a file in the page."""
    text = base64.b64encode(data).decode()
    bytes_of = f"Uint8Array.from(atob('{text}'), (c) => c.charCodeAt(0)).buffer"
    tab.run(f"wakestate.open('{name}', {bytes_of})")


def lines_of_file(tab: Tab, pcm: NDArray[np.int16]) -> list[str]:
    """What the page says of a WAV that it opens."""
    open_bytes(tab, "x.wav", wav(pcm))
    return lines(tab)


def lines(tab: Tab) -> list[str]:
    return str(tab.run("wakestate.lines().join('\\n')")).split("\n")


def choose(tab: Tab, state: int) -> None:
    for item in ALEXA.word.states[state].split(","):
        field, value = item.split("=")
        tab.run(f"document.querySelector('input[name={field}][value={value}]').click()")


def test_a_file_gives_the_host_emulators_lines_in_every_state(
    tab: Tab, recording: NDArray[np.int16]
) -> None:
    lines_of_file(tab, recording)
    wakes = 0
    for state in range(len(ALEXA.word.states)):
        choose(tab, state)
        expected = host_lines(state, recording)
        tab.run("wakestate.processed()")
        assert lines(tab) == expected
        wakes += sum('"wake"' in line for line in expected)
    assert wakes > 8
    choose(tab, 0)


def events(printed: list[str]) -> list[dict[str, Any]]:
    """The wakes."""
    return [event for line in printed if (event := json.loads(line))["type"] == "wake"]


@pytest.mark.parametrize("state", range(len(ALEXA.word.states)), ids=ALEXA.word.states)
def test_the_microphone_wakes_at_the_hosts_times(
    tab: Tab, recording: NDArray[np.int16], state: int
) -> None:
    """What came from the microphone, resampled by the browser, gives the host's lines bit for bit.
    Its wakes are those of the file, of which all states but the first have the beginning; a busy
    computer may lose some sound on the way. The device state changes while it listens."""
    said = recording if state == 0 else recording[: 9 * 16000]
    choose(tab, state)
    tab.run("document.getElementById('microphone').click()")
    tab.wait("document.querySelector('#microphone[aria-pressed=true]') !== null")
    try:
        tab.wait(f"wakestate.samples() > {len(said)}", 120)
        found = [line.replace('"microphone"', '"x.wav"') for line in lines(tab)]
        choose(tab, 7 - state)
        tab.wait(f"wakestate.state() === {7 - state}")
        choose(tab, 0)
    finally:
        tab.run("document.getElementById('microphone').click()")
    tab.wait("/^[0-9]+ wakes?$/.test(document.getElementById('status-text').textContent)")
    recorded = np.frombuffer(bytes(tab.run("[...wakestate.wav()]")), "<i2", offset=44)
    assert found == host_lines(state, recorded)[: len(found)]
    expected, wakes = events(host_lines(state, said)), events(found)
    met = [
        event
        for event in expected
        if any(w["word"] == event["word"] and abs(w["t"] - event["t"]) < 0.3 for w in wakes)
    ]
    assert expected and 3 * len(met) >= 2 * len(expected) and len(wakes) <= len(expected)


def test_dragging_a_threshold_changes_what_wakes(tab: Tab) -> None:
    lines_of_file(tab, sample())
    assert len(events(lines(tab))) == 3
    slider = "document.querySelector('.threshold[role=slider]')"
    key = slider + ".dispatchEvent(new KeyboardEvent('keydown', { key: 'PageUp' }))"
    tab.run("; ".join([key] * 60))  # to the end of the picture
    tab.run("new Promise((go) => setTimeout(go, 200)).then(() => wakestate.processed())")
    threshold = int(tab.run(f"{slider}.getAttribute('aria-valuenow')"))
    left = tab.run("wakestate.wakes()")
    assert len(left) < 3 and all(wake["score"] >= threshold for wake in left)
    tab.run("document.querySelector('.word button').click()")
    tab.wait("wakestate.wakes().length === 3")


def test_clips_are_a_data_folder(tab: Tab, tmp_path: Path) -> None:
    """A kept wake, other speech and another phrase, by a speaker with a comma in the name, which
    `make word` takes."""
    lines_of_file(tab, sample())
    tab.run("document.getElementById('clip-speaker').value = 'Ann, B.'")
    tab.run("document.querySelectorAll('#wakes li')[0].querySelectorAll('button')[1].click()")
    tab.run("document.getElementById('clip-kind').value = 3")
    tab.run("wakestate.clips.add(new Int16Array(16000).map((_, i) => 300 * (i % 50)))")
    tab.run("document.getElementById('clip-kind').value = 2")
    tab.run("document.getElementById('clip-phrase').value = ' Hey  Jupiter '")
    tab.run("wakestate.clips.add(new Int16Array(16000))")
    typed = tab.run("document.getElementById('train-command').textContent")
    assert typed == 'make word PHRASE="alexa" ARGS="--recordings recordings"'
    zipped = tab.run("wakestate.clips.zip().arrayBuffer().then((b) => [...new Uint8Array(b)])")
    with zipfile.ZipFile(io.BytesIO(bytes(zipped))) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "data")
    corpus = load_corpus(tmp_path / "data", "train", tmp_path / "cache", ALEXA.word.data)
    assert [(c.label, c.speaker) for c in corpus.clips] == [
        ("alexa", "Ann, B."),
        ("speech", "Ann, B."),
        ("hey jupiter", "Ann, B."),
    ]
    assert import_recordings(tmp_path / "data", ALEXA.word, tmp_path / "taken", "train") == 1
    word = corpus.audio(corpus.clips[0])
    at = np.flatnonzero(
        np.all(np.lib.stride_tricks.sliding_window_view(sample(), 64) == word[:64], 1)
    )
    assert len(at) == 1 and np.array_equal(word, sample()[at[0] : at[0] + len(word)])
    assert corpus.audio(corpus.clips[1])[49] == 14700


def test_another_rate_is_resampled(tab: Tab) -> None:
    """48 kHz and 44.1 kHz to 16 kHz in pieces: a tone keeps its level, one above 8 kHz is gone."""
    script = """import('./resample.js').then(({ Resampler }) => {
      const tone = (rate, hertz) => {
        const made = new Resampler(rate, 16000), out = [];
        for (let at = 0; at < rate; at += 128) {
          const turn = 2 * Math.PI * hertz / rate;
          const piece = Float32Array.from({ length: 128 }, (_, i) => Math.sin(turn * (at + i)));
          out.push(...made.push(piece));
        }
        const power = out.slice(2000, 14000).reduce((sum, x) => sum + x * x / 12000, 0);
        return [out.length, Math.sqrt(2 * power)];
      };
      return [48000, 44100].flatMap((rate) => [tone(rate, 1000), tone(rate, 9500)]);
    })"""
    found = tab.run(script)
    for length, level in found[::2]:
        assert abs(length - 16000) < 100 and level == pytest.approx(1, abs=1e-3)
    for _, level in found[1::2]:
        assert level < 1e-3


def keys(folder: Path) -> tuple[Path, bytes, bytes]:
    """A private key, its public key, and another's."""
    pytest.importorskip("cryptography", reason="pip install 'wakestate[bundle]'")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    path = folder / "key.pem"
    pkcs8 = (form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    path.write_bytes(key.private_bytes(*pkcs8))
    spki = (form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return path, key.public_key().public_bytes(*spki), other.public_key().public_bytes(*spki)


def refused(tab: Tab, data: bytes, said: str, name: str = "x.wakestate") -> None:
    """Opening it says so, in one line, and changes nothing."""
    open_bytes(tab, name, data)
    line = tab.run("document.getElementById('message').textContent")
    assert line.startswith(f"{name}: ") and said in line and line.isprintable()
    assert tab.run("location.search") == ""


def test_a_bundle_is_opened_or_refused_as_a_whole(
    tab: Tab, recording: NDArray[np.int16], tmp_path: Path
) -> None:
    """Opened, it gives the host emulator's lines; the damaged, and those that another key than the
    chosen one signed, leave the page as it is."""
    private, public, stranger = keys(tmp_path)
    key = ["--key", str(private)]
    with contextlib.chdir(ROOT):
        assert main(["bundle", "make", "--word", "alexa", *key, "--out", str(tmp_path)]) == 0
    good = (tmp_path / "alexa.wakestate").read_bytes()
    files = bundles.opened(good)
    other = files["page.wasm"].replace(b"player=music,volume=low", b"player=music,volume=xyz")
    hangs = bytes.fromhex("0061736d01000000010401600000030201000801000a0901070003400c000b0b")
    open_bytes(tab, "other.pem", stranger)
    refused(tab, good, "is not signed by the key ")
    refused(tab, b"x" + public, "is no public key", "x.pem")
    refused(tab, private.read_bytes(), "is no public key", "x.pem")
    unsigned = bundles.packed({n: c for n, c in files.items() if n != "manifest.sig"})
    refused(tab, unsigned, "is not signed")
    tab.run("document.querySelector('#from-bundle button').click()")
    tab.wait("document.querySelector('#from-bundle button') === null")
    for data, said in (
        (good[:-1], "is no bundle, cut off, or was changed"),
        (bundles.packed(files | {"page.wasm": other}), "is another file's sha256, or missing"),
        (
            bundles.packed(bundles.rehashed(files | {"page.wasm": other})),
            "page.wasm: is of another",
        ),
        (bundles.packed(bundles.rehashed(files | {"page.wasm": hangs})), "engine does not start"),
    ):
        refused(tab, data, said)
    try:
        open_bytes(tab, "key.pub", public)
        open_bytes(tab, "alexa.wakestate", good)
        tab.wait("globalThis.wakestate?.words.length === 1")
        place = "document.getElementById('from-bundle').textContent"
        name = hashlib.sha256(base64.b64decode(public.split(b"-----")[2])).hexdigest()[:16]
        tab.wait(f"{place}.startsWith('“alexa”') && {place}.includes('signed by the key {name}')")
        lines_of_file(tab, recording)
        assert lines(tab) == host_lines(0, recording, "alexa")
    finally:
        tab.run("caches.delete('wakestate-bundle')")
        tab.run("location.assign('./')")
        tab.wait("globalThis.wakestate?.words.length === 2")


def test_the_page_judges_bundles_as_python_does(tab: Tab) -> None:
    """Damaged at random; what only Python reads, only Python refuses."""
    script = """import('./bundle.js').then(({ bundleOf }) => bundleOf(Uint8Array.from(atob('%s'),
      (c) => c.charCodeAt(0))).then(() => '', (error) => `${error.name}: ${error.message}`))"""

    class InTheTab:
        def judged(self, data: bytes) -> str:
            return bundles.page_outcome(tab.run(script % base64.b64encode(data).decode()))

    outcomes, faults = bundles.run(60, 11, InTheTab())
    assert not faults and len(outcomes) > 5


def test_the_device_sounds_are_loud_whole_loops(tab: Tab) -> None:
    """Music, a voice and an alarm: no sample is out of range, none jumps where the loop closes."""
    script = """import('./sounds.js').then(({ SOUNDS }) => Object.keys(SOUNDS).map((name) => {
      const sound = SOUNDS[name](24000), seconds = sound.length / 24000;
      const power = sound.reduce((sum, x) => sum + x * x, 0) / sound.length;
      const peak = sound.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      return [name, seconds, peak, Math.sqrt(power), Math.abs(sound[0] - sound.at(-1))];
    }))"""
    found = tab.run(script)
    assert [row[0] for row in found] == ["music", "speech", "alarm"]
    for _, seconds, peak, rms, jump in found:
        assert seconds > 1 and peak == pytest.approx(0.9, abs=1e-6)
        assert rms > 0.05 and jump < 0.1


def test_axe_finds_no_fault(tab: Tab) -> None:
    hint = "axe is not installed: pip install --no-deps axe-playwright-python"
    axe = pytest.importorskip("axe_playwright_python", reason=hint)
    tab.run((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    for dark in (False, True):
        tab.look(390, 844, dark)
        for violation in tab.run("axe.run().then((found) => found.violations)"):
            nodes = [node["html"][:90] for node in violation["nodes"]]
            pytest.fail(f"{violation['impact']}: {violation['id']}: {nodes}")


def test_it_works_without_a_network(folder: Path, tmp_path: Path) -> None:
    """Once seen, from its own copy."""
    skip_without_chromium()
    with chromium(tmp_path / "profile") as tab:
        with served(folder) as url:
            tab.open(url)
            tab.run("navigator.serviceWorker.ready.then(() => true)")
        assert tab.run("fetch('none').catch(() => 'no network')") == "no network"
        tab.open(url)
        tab.wait("wakestate.wakes().length === 3")
