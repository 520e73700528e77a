# SPDX-License-Identifier: Apache-2.0
"""From the gateway to the service, over real sockets: gateway run --post, and service demo."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("fastapi")

from tests.support.examples import typed_example, typed_line
from tests.support.firmware_build import ROOT, build, skip_without_qemu
from tests.support.running_gateway import START
from tests.support.running_service import CALL, Running, sound, started, until
from wakestate.__main__ import main
from wakestate.boards.schema import load_board
from wakestate.verify.gateway import posting
from wakestate.verify.gateway.demo import demo
from wakestate.verify.gateway.gateway import Gateway
from wakestate.verify.gateway.posting import Poster, Service, Verdict
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import Audio, End, Frame, Kind, Start, encode
from wakestate.verify.protocol.sensitivity import Sensitivity
from wakestate.words import load_word

SAMPLE = ROOT / "models/alexa/sample.wav"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with started("--delay", "0.02") as running:
        yield running


@pytest.fixture(scope="module")
def narrow() -> Iterator[Running]:
    """Two streams at a time, 3 s of sound."""
    with started("--streams", "2", "--seconds", "3") as running:
        yield running


def message(pcm: NDArray[np.int16], utterance: int = 1) -> list[bytes]:
    start = Start(**{**START.__dict__, "utterance": utterance, "state": "player=idle,volume=low"})
    payloads = [(Kind.START, start.payload())]
    for at in range(0, len(pcm), 160):
        payloads.append((Kind.AUDIO, Audio(utterance, at, pcm[at : at + 160]).payload()))
    payloads.append((Kind.END, End(utterance, 0, len(pcm), 0, 0).payload()))
    return [encode(Frame(kind, i, data)) for i, (kind, data) in enumerate(payloads)]


def posted(
    url: str, *parts: bytes, key: str | None = None, between: Callable[[], None] = lambda: None
) -> tuple[list[Verdict], list[bytes]]:
    """Verdicts, and what the device received; `between` is called before the last part."""
    verdicts: list[Verdict] = []
    replies: list[bytes] = []
    poster = Poster(Service(url, key), verdicts.append)
    gateway = Gateway(poster, replies.append)
    for part in parts[:-1]:
        gateway.feed(part)
    between()
    gateway.feed(parts[-1])
    gateway.close()
    poster.close()
    return verdicts, replies


def test_the_gateway_posts_and_stops_the_device(service: Running) -> None:
    frames = message(sound(8000, 17000, 60000), utterance=3)
    verdicts, replies = posted(f"http://{service.host}", *frames)
    (verdict,) = verdicts
    line = json.loads(verdict.line())
    assert line["accept"] is True and line["utterance"] == 3 and line["t"] == 2.565
    # 24,040 samples were processed before the first one sent.
    assert abs(line["start"] - 2.0025) < 0.03 and abs(line["end"] - 2.565) < 0.03
    assert replies == [b"stop 3\n", b"uplink off\n"]


def test_the_gateway_asks_again(narrow: Running) -> None:
    """Of a busy service; the device's frames are taken all the while."""
    busy = [narrow.open(), narrow.open()]
    until(lambda: narrow.metric("wakestate_verify_streams") == 2)
    name = 'wakestate_verify_requests_total{status="429"}'
    before = narrow.metric(name)

    def free() -> None:
        until(lambda: narrow.metric(name) > before)
        for connection in busy:
            connection.close()

    frames = message(sound(8000, 17000))
    verdicts, _ = posted(f"http://{narrow.host}/", b"".join(frames[:-1]), frames[-1], between=free)
    assert [verdict.answer and verdict.answer["accept"] for verdict in verdicts] == [True]


def test_the_gateway_reports_why_there_is_no_answer(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "GIVE_UP_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    frames = message(sound(8000, 17000))
    for url, wording in (
        (away, "no answer: "),
        (f"http://{service.host}/elsewhere", "404: path: POST /elsewhere/v1/verify: Not Found"),
    ):
        ((verdict,), _) = posted(url, *frames)
        assert verdict.answer is None and wording in verdict.problem, verdict.problem
        assert json.loads(verdict.line())["problem"] == verdict.problem
    for url in (
        "localhost:8080",
        "ftp://x",
        "http://",
        "http://x:port",
        "http://me@x",
        "http://x?a",
    ):
        with pytest.raises(GatewayError, match="allowed: http://HOST:PORT"):
            Service(url)


def test_the_gateway_command(
    service: Running, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stream").write_bytes(b"".join(message(sound(8000, 17000, 40000))))
    url = f"http://{service.host}"
    files = {"/dev/ttyACM0": tmp_path / "stream", "http://127.0.0.1:8080": url}
    call = typed_example("gateway run", files)
    (tmp_path / "key").write_text("of nobody\n")
    files = {"PORT|FILE|-": tmp_path / "stream", "URL": url, "[--key-file": "--key-file"}
    files |= {"F]": tmp_path / "key", "[--out": "--out", "FOLDER]": tmp_path / "out"}
    usage = typed_line(
        "gateway run --from PORT|FILE|- [--from ...] --post URL [--key-file F] [--out FOLDER]",
        files,
    )
    at = usage.index("[--from")
    assert main([*usage[:at], *usage[at + 2 :]]) == 0
    printed = capfd.readouterr()
    assert json.loads(printed.out)["accept"] is True
    assert "00001-alexa.wav: 2.500 s" in printed.err
    assert main(call[:4]) == 2
    assert "give --post URL, --out FOLDER, or both" in capfd.readouterr().err


def test_the_delay_of_answers_is_measured(
    service: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    call = typed_example("service bench", {"50": "3", "10": "1"})
    assert main([*call, "--url", f"http://{service.host}", "--together", "--json"]) == 0
    answered = json.loads(capsys.readouterr().out)
    assert len(answered) == 3  # --delay of the service is 20 ms
    assert all(one["ms"] > one["own_ms"] > 19 and not one["problem"] for one in answered)
    files = {"8": "3", "400": "1"}
    call = typed_line("service bench --whole --streams 8 --rounds 400 --processes 1", files)
    assert main([*call, "--url", f"http://{service.host}"]) == 0
    rate = re.search(r"answered +3 of 3, ([0-9.]+) a second\n", capsys.readouterr().out)
    assert rate and 0 < float(rate[1]) < 3 / 0.019


def test_without_a_trained_verifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for call in (["serve"], ["bench"], ["demo", "--board", "host"]):
        assert main(["service", *call, "--verifier", str(tmp_path)]) == 1
        printed = capsys.readouterr().err
        assert printed == (
            f"{tmp_path}/verifier.json: no such file; "
            "`wakestate verifier train --word alexa` makes it\n"
        )


EARLY = Sensitivity("alexa", dict.fromkeys(load_word(ROOT / "words/alexa.toml").states, 124))


def test_the_demonstration_names_a_missing_recording(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"none\.wav: no such file; give a recording with AUDIO"):
        demo(load_board("host"), tmp_path, [str(tmp_path / "none.wav")], CALL, EARLY)


@pytest.mark.parametrize("board", ["host", "mps2-an386"])
def test_the_demonstration(board: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A real device image on its emulated serial port, in real time; and the host's emulator."""
    skip_without_qemu(board) if board != "host" else None
    with wave.open(str(SAMPLE)) as whole, wave.open(str(tmp_path / "x.wav"), "wb") as first:
        first.setparams(whole.getparams())
        first.writeframes(whole.readframes(16000 * 4))
    made = build("alexa", board)
    program = made.program("emulator" if board == "host" else "device")
    if board == "host":
        assert demo(load_board(board), program, [str(tmp_path / "x.wav")], CALL, EARLY) == 0
    else:
        with contextlib.chdir(ROOT):
            assert main(typed_example("service demo", {"kitchen.wav": tmp_path / "x.wav"})) == 0
    out = capfd.readouterr().out
    (row,) = [line for line in out.splitlines() if " wake  word " in line]
    # As it ships it wakes at 1.835 s; a device wakes earlier once it has the last of the commands.
    at = r"   1\.7\d\d s" if board == "host" else r"   1\.[78]\d\d s"
    assert re.match(at + r"  wake  word 1\.\d{3}-1\.\d{3} .*  accept  word ", row)
    assert "1 wakes; 1 accepted, 0 rejected, 0 without an answer." in out
