# SPDX-License-Identifier: Apache-2.0
"""The verifier's HTTP service, over real sockets, as a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")

from tests.support.running_service import (
    FRONTEND,
    NEEDED,
    QUERY,
    ROOT,
    Running,
    answer,
    chunk,
    sound,
    started,
    until,
)
from wakestate.convert.hostlib import Extractor
from wakestate.verify.gateway import posting
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import FRAMES, SILENCE, FeatureWindow, needed
from wakestate.verify.service import serving
from wakestate.words import load_word

KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with started("--delay", "0.02") as running:
        yield running


@pytest.fixture(scope="module")
def narrow() -> Iterator[Running]:
    """Two streams at a time, 3 s of sound."""
    with started("--streams", "2", "--seconds", "3") as running:
        yield running


@pytest.fixture(scope="module")
def hasty() -> Iterator[Running]:
    """Without patience."""
    with started("--patience", "0.1", "--head", "1") as running:
        yield running


def test_accepts_and_rejects_and_reports_where(service: Running) -> None:
    status, printed = service.post(sound().tobytes())
    assert (
        status == 200
        and printed["accept"] is True
        and printed["score"] >= printed["threshold"] == 0
    )
    assert abs(printed["startIndexInSamples"] - 8000) <= 400
    assert abs(printed["endIndexInSamples"] - 17600) <= 400
    assert printed["milliseconds"] > 0
    status, printed = service.post(np.zeros(NEEDED, np.int16).tobytes())
    assert status == 200 and printed["accept"] is False and printed["score"] < 0


def test_pieces_do_not_matter(service: Running) -> None:
    """Chunks that part samples, and a sound that ends with the word."""
    body = sound()[:17600].tobytes()
    _, whole = service.post(body, Content_Type="application/octet-stream")
    for size in (333, 4001, len(body)):
        connection = service.open()
        for at in range(0, len(body), size):
            chunk(connection, body[at : at + size])
        connection.send(b"0\r\n\r\n")
        status, printed = answer(connection)
        connection.close()
        assert status == 200
        assert {**printed, "milliseconds": 0} == {**whole, "milliseconds": 0}


def test_answers_when_it_has_enough_and_passes_over_the_rest(service: Running) -> None:
    connection = service.open()
    chunk(connection, sound().tobytes())
    assert answer(connection)[0] == 200  # the upload has not ended
    chunk(connection, bytes(3200))
    connection.send(b"0\r\n\r\n")
    connection.request("GET", "/health")  # on the same connection
    assert answer(connection)[0] == 200
    connection.close()


def test_indices_that_count_from_elsewhere(service: Running) -> None:
    """The stream's, say: preroll is where the word is in this sound; none: it begins the sound."""
    _, plain = service.post(sound().tobytes())
    query = {"word": "alexa", "startIndexInSamples": 1_000_000, "endIndexInSamples": 1_009_600}
    _, printed = service.post(sound().tobytes(), {**query, "preroll": PREROLL})
    assert printed["startIndexInSamples"] == plain["startIndexInSamples"] + 992_000
    assert printed["endIndexInSamples"] == plain["endIndexInSamples"] + 992_000
    assert printed["score"] == plain["score"]
    status, printed = service.post(sound()[8000:].tobytes(), {**query, "preroll": 0})
    assert status == 200 and abs(printed["startIndexInSamples"] - 1_000_000) <= 400


def test_the_state_is_sent_to_the_verifier(service: Running) -> None:
    word = load_word(ROOT / "words/alexa.toml")
    _, plain = service.post(sound().tobytes())
    with ThreadPoolExecutor() as clients:  # so that they go through it together
        printed = list(
            clients.map(
                lambda state: service.post(sound().tobytes(), {**QUERY, "state": state})[1][
                    "score"
                ],
                word.states,
            )
        )
    assert printed == pytest.approx([plain["score"] + i for i in range(len(word.states))], abs=1e-3)


BODY = sound().tobytes()


@pytest.mark.parametrize(
    ("status", "field", "wording", "body", "changes", "headers"),
    [
        (400, "body", "ends within a sample", BODY[:40001], {}, {}),
        (400, "body", "the word ends at 17600", BODY[:20000], {}, {}),
        (400, "body", "0 samples", b"", {}, {}),
        (400, "body", "WAV header", b"RIFF" + BODY, {}, {}),
        (413, "body", "96002 bytes; allowed: 96000 bytes, 3 s", bytes(96002), {}, {}),
        (415, "Content-Type", "audio/wav", BODY, {}, {"Content_Type": "audio/wav"}),
        (422, "word", "given 'computer'; allowed: alexa", BODY, {"word": "computer"}, {}),
        (422, "word", "missing", BODY, {"word": None}, {}),
        (422, "state", "allowed: player=idle,volume=low; ", BODY, {"state": "player=off"}, {}),
        (422, "startIndexInSamples", "given 'x'", BODY, {"startIndexInSamples": "x"}, {}),
        (422, "startIndexInSamples", "given '-1'", BODY, {"startIndexInSamples": -1}, {}),
        (422, "endIndexInSamples", "above startIndex", BODY, {"endIndexInSamples": 8000}, {}),
        (422, "endIndexInSamples", "allowed: 48000", BODY, {"endIndexInSamples": 48001}, {}),
        (422, "preroll", "given 8001", BODY, {"preroll": 8001}, {}),
        (422, "rate", "unknown", BODY, {"rate": 16000}, {}),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_refuses(
    narrow: Running,
    status: int,
    field: str,
    wording: str,
    body: bytes,
    changes: dict[str, Any],
    headers: dict[str, str],
) -> None:
    query = {name: value for name, value in {**QUERY, **changes}.items() if value is not None}
    given, printed = narrow.post(body, query, **headers)
    assert given == status
    (error,) = printed["errors"]
    assert error["field"] == field and wording in error["problem"] and error["hint"]


def test_too_much_in_chunks(narrow: Running) -> None:
    """The word is so late that the limit comes before it is whole."""
    query = {**QUERY, "startIndexInSamples": 46000, "endIndexInSamples": 48000}
    connection = narrow.open(query)
    chunk(connection, bytes(96004))
    status, printed = answer(connection)
    connection.close()
    assert status == 413 and "so far" in printed["errors"][0]["problem"]


def test_a_dripping_upload_is_cut(hasty: Running) -> None:
    connection = hasty.open()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for at in range(0, 400, 2):
            chunk(connection, BODY[at : at + 2])
            time.sleep(0.05)
    status, printed = answer(connection)
    assert status == 408 and "not there after 2.1 s" in printed["errors"][0]["problem"]
    connection.close()


def test_a_dripping_head_and_an_endless_rest_are_cut(hasty: Running) -> None:
    host, port = hasty.host.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as head:
        head.sendall(b"POST /v1/verify HTTP/1.1\r\nX: ")
        printed = b""
        while data := head.recv(4096):
            printed += data
    assert (
        printed.startswith(b"HTTP/1.1 408 ") and json.loads(printed.split(b"\r\n\r\n")[1])["errors"]
    )
    connection = hasty.open()
    chunk(connection, BODY)
    assert answer(connection)[0] == 200
    with pytest.raises(OSError):  # closed under it
        for _ in range(600):
            chunk(connection, bytes(3200))
            time.sleep(0.02)
    connection.close()


def test_one_too_many_waits(narrow: Running) -> None:
    before = narrow.metric('wakestate_verify_requests_total{status="429"}')
    begun = [narrow.open() for _ in range(2)]
    until(lambda: narrow.metric("wakestate_verify_streams") == 2)
    third = narrow.open()
    response = third.getresponse()
    assert response.status == 429 and response.getheader("Retry-After") == "1"
    assert "2 uploads are in progress" in json.loads(response.read())["errors"][0]["problem"]
    begun[1].close()  # one goes without a word
    until(lambda: narrow.metric("wakestate_verify_streams") == 1)
    assert narrow.post(BODY)[0] == 200
    chunk(begun[0], BODY)
    assert answer(begun[0])[0] == 200
    third.close()
    begun[0].close()
    assert narrow.metric('wakestate_verify_requests_total{status="429"}') == before + 1
    assert narrow.metric('wakestate_verify_requests_total{status="499"}') >= 1


def test_fifty_at_a_time_each_with_its_own_answer(service: Running) -> None:
    ready = threading.Barrier(50)
    batches = service.metric("wakestate_verify_batch_size_count")

    def upload(number: int) -> tuple[int, int]:
        place = 4800 + 160 * number
        body = sound(place, place + 8000).tobytes()
        connection = service.open()
        ready.wait(60)  # all have begun
        for at in range(0, len(body), 8000):
            chunk(connection, body[at : at + 8000])
        status, printed = answer(connection)
        connection.close()
        return status, abs(printed["startIndexInSamples"] - place)

    with ThreadPoolExecutor(50) as pool:
        outcomes = list(pool.map(upload, range(50)))
    assert all(status == 200 and off <= 400 for status, off in outcomes), outcomes
    assert service.metric("wakestate_verify_batch_size_count") - batches < 50, "batched"


def test_asked_to_stop_it_answers_what_it_took() -> None:
    with started("--delay", "0.05") as running:
        begun = [running.open() for _ in range(10)]
        for connection in begun:
            chunk(connection, BODY[:20000])
        until(lambda: running.metric("wakestate_verify_streams") == 10)
        running.process.send_signal(signal.SIGTERM)

        def refused() -> bool:
            try:
                socket.create_connection(tuple(running.host.split(":")), timeout=60).close()
            except ConnectionRefusedError:
                return True
            return False

        until(refused)
        assert running.process.poll() is None
        for connection in begun:
            chunk(connection, BODY[20000:])
        assert [answer(connection)[0] for connection in begun] == [200] * 10
        assert running.process.wait(60) == 0
        for connection in begun:
            connection.close()


def test_keys(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with started(log=log, WAKESTATE_KEYS=f"another-key-of-somebody,{KEY}") as running:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
            status, printed = running.post(BODY, **headers)
            assert status == 401 and printed["errors"][0]["field"] == "Authorization"
        assert running.post(BODY, {}, Authorization="Bearer ü")[0] == 401  # before all else
        assert running.post(BODY, Authorization=f"Bearer {KEY}")[0] == 200
        assert running.ask("GET", "/metrics")[0] == 401
        assert running.ask("GET", "/health")[0] == 200
    text = log.read_text()
    assert "POST /v1/verify" in text and KEY not in text and "wrong" not in text


def test_without_keys_on_loopback_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(serving.KEYS, raising=False)
    for host in ("127.0.0.1", "localhost"):
        serving.listen(host, 0, ()).close()
    for host in ("0.0.0.0", "::"):
        with pytest.raises(GatewayError, match=r"there are no keys: give --keys FILE"):
            serving.listen(host, 0, ())
    with (
        serving.listen("0.0.0.0", 0, (KEY,)) as taken,
        pytest.raises(GatewayError, match="Address already in use; take another PORT"),
    ):
        serving.listen("0.0.0.0", taken.getsockname()[1], (KEY,))
    file = tmp_path / "keys"
    file.write_text(f"# of the kitchen\n{KEY}\n\n  another-key-of-somebody\n")
    assert serving.load_keys(file) == (KEY, "another-key-of-somebody")
    assert posting.load_key(file) == KEY
    for text, wording in (("# none\n", "no key in it"), ("short\n", "key 1: allowed: 16 or more")):
        file.write_text(text)
        with pytest.raises(GatewayError, match=wording) as caught:
            serving.load_keys(file)
        assert "short" not in str(caught.value)


def test_pages(service: Running) -> None:
    assert service.ask("GET", "/health") == (200, {"ready": True, "word": "alexa", "streams": 0})
    assert service.ask("GET", "/health/live") == (200, {"live": True})
    status, page = service.ask("GET", "/openapi.json")
    post = page["paths"]["/v1/verify"]["post"]
    names = [parameter["name"] for parameter in post["parameters"]]
    assert names == ["word", "startIndexInSamples", "endIndexInSamples", "preroll", "state"]
    assert {*map(int, post["responses"])} == {200, 400, 401, 408, 413, 415, 422, 429, 503}
    assert "application/octet-stream" in post["requestBody"]["content"]
    for method, path, expected in (("GET", "/v1/verify", 405), ("GET", "/none", 404)):
        status, printed = service.ask(method, path)
        assert (
            status == expected
            and printed["errors"][0]["hint"] == "POST /v1/verify; /docs lists the rest"
        )
    state = "player=music,volume=high"
    name = f'wakestate_verify_answers_total{{decision="accept",state="{state}"}}'
    before = service.metric(name)
    assert service.post(BODY, {**QUERY, "state": state})[0] == 200
    assert service.metric(name) == before + 1


def test_the_window_is_the_front_end_s_columns_around_the_word() -> None:
    extractor = Extractor(FRONTEND)
    pcm = sound(0, 60000, 60000)
    whole = FeatureWindow(extractor, 20000)
    whole.feed(pcm)
    assert whole.full
    assert (whole.features() == extractor.features(pcm[12000:])[:FRAMES]).all()
    assert whole.sample(0) == 12000 and whole.sample(50.5) == 20080
    pieces = FeatureWindow(extractor, 20000)
    for at in range(0, needed(FRONTEND, 20000) - 1, 97):
        pieces.feed(pcm[at : min(at + 97, needed(FRONTEND, 20000) - 1)])
    assert not pieces.full  # one sample is missing
    pieces.feed(pcm[needed(FRONTEND, 20000) - 1 :][:1])
    assert pieces.full and (pieces.features() == whole.features()).all()
    early = FeatureWindow(extractor, 4100)  # 3900 samples, 24.4 columns, before the sound
    early.feed(pcm[:8000])
    columns = extractor.features(pcm[100:8000])
    assert (early.features()[:25] == SILENCE).all()
    assert (early.features()[25 : 25 + len(columns)] == columns).all()
    assert (early.features()[25 + len(columns) :] == SILENCE).all()
