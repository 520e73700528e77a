# SPDX-License-Identifier: Apache-2.0
"""The service and clients that are many, slow, or send anything; and verifiers that are damaged."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from tests.support.running_service import QUERY, Running, chunk, sound, started, until

BODY = sound().tobytes()
POST = (
    b"POST /v1/verify?word=alexa&startIndexInSamples=8000&endIndexInSamples=17600 HTTP/1.1\r\n"
    b"Host: x\r\nContent-Type: application/octet-stream\r\n"
)
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two streams, 40 connections, 3 s of sound, 1 s for a head."""
    log = tmp_path_factory.mktemp("log") / "log"
    options = ("--streams", "2", "--seconds", "3", "--head", "1", "--connections", "40")
    with started(*options, log=log) as running:
        yield running
    assert "Traceback" not in log.read_text()


def connect(service: Running) -> socket.socket:
    host, port = service.host.split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def whole(connection: socket.socket) -> list[tuple[int, bytes]]:
    """Statuses and bodies of all answers until the connection ends."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            data += piece
    answers = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        match = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        length = int(match[1]) if match else 0
        answers.append((int(head.split()[1]), data[:length]))
        data = data[length:]
    return answers


def sent(service: Running, data: bytes) -> list[tuple[int, bytes]]:
    with connect(service) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(data)
        return whole(connection)


def honest(service: Running) -> None:
    """It answers, and reports that it is healthy."""
    assert service.ask("GET", "/health")[0] == 200
    assert service.post(BODY)[0] == 200


def test_above_the_limit_it_is_429_in_json_and_health_is_answered(narrow: Running) -> None:
    busy = [narrow.open() for _ in range(2)]
    until(lambda: narrow.metric("wakestate_verify_streams") == 2)
    for _ in range(5):
        with connect(narrow) as connection:
            # All of the sound comes with the request: the answer must not get lost behind it.
            connection.sendall(
                POST + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
            )
            ((status, body),) = whole(connection)
        assert status == 429 and json.loads(body)["errors"][0]["hint"] == "ask again in 1 s"
        assert narrow.ask("GET", "/health")[0] == 200
    for connection in busy:
        connection.close()
    until(lambda: narrow.metric("wakestate_verify_streams") == 0)


def test_idle_connections_and_endless_heads_make_place(narrow: Running) -> None:
    """More than may be open: the oldest goes, in JSON; who asks is served."""
    open_ = []
    for number in range(120):
        open_.append(connect(narrow))
        if number % 2:
            open_[-1].sendall(b"POST /v1/verify HTTP/1.1\r\nHost")
    honest(narrow)
    assert len(list(Path(f"/proc/{narrow.process.pid}/fd").iterdir())) < 60
    answers = [whole(connection) for connection in open_]  # the rest after a second
    assert {status for ((status, _),) in answers} == {408, 429}
    assert all(json.loads(body)["errors"] for ((_, body),) in answers)
    for connection in open_:
        connection.close()


REFUSED: dict[str, tuple[int, bytes]] = {
    "garbage": (400, b"\x16\x03\x01\0\xa5\x01\0\0\xa1" + bytes(200)),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/0.9": (404, b"GET /\r\n\r\n"),
    "a method of 5,000": (400, b"A" * 5000 + b" / HTTP/1.1\r\n\r\n"),
    "a length below 0": (400, POST + b"Content-Length: -1\r\n\r\n"),
    "a length that is none": (400, POST + b"Content-Length: NaN\r\n\r\n"),
    "two lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    "a length and chunks": (
        400,
        POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "a chunk below 0": (400, CHUNKED + b"-1\r\nab\r\n"),
    "a huge chunk": (400, CHUNKED + b"f" * 20 + b"\r\nab\r\n"),
    "a control character": (400, POST + b"X: a\0b\r\n\r\n"),
    "a length of a terabyte": (413, POST + b"Content-Length: 999999999999\r\n\r\n"),
    "a large chunk extension": (413, CHUNKED + b"1;" + b"x" * 1_000_000),
    "a long head": (431, POST + b"X: " + b"a" * 100_000 + b"\r\n\r\n"),
    "many headers": (431, POST + b"".join(b"X%d: 1\r\n" % i for i in range(200)) + b"\r\n"),
    "trailers without end": (
        431,
        CHUNKED + b"1\r\na\r\n0\r\n" + b"".join(b"X%d: 1\r\n" % i for i in range(200)),
    ),
    "no content type": (
        200,
        POST.replace(b"Content-Type: application/octet-stream\r\n", b"")
        + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        + BODY,
    ),
    "another": (415, POST.replace(b"octet-stream", b"json") + b"Content-Length: 2\r\n\r\n{}"),
    "CONNECT": (400, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a path": (404, b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_of_ours_is_refused_in_json(narrow: Running, name: str) -> None:
    status, data = REFUSED[name]
    found = sent(narrow, data)
    assert [given for given, _ in found] == [status]
    if status != 200:
        (problem,) = json.loads(found[0][1])["errors"]
        assert all(problem.values()) and "/verify/" not in str(problem)
    honest(narrow)


def test_requests_behind_each_other(narrow: Running) -> None:
    """Some are answered in order; a pile of them is not kept."""
    one = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    last = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert [status for status, _ in sent(narrow, one * 5 + last)] == [200] * 6
    found = sent(narrow, one * 5000)
    assert found and {status for status, _ in found} <= {200, 429} and len(found) < 50
    honest(narrow)


def test_chunks_of_a_byte_cost_little(narrow: Running) -> None:
    """Counted in pieces of the network stack, not in chunks; and answered as the whole is."""
    pieces = b"".join(b"1\r\n" + BODY[i : i + 1] + b"\r\n" for i in range(len(BODY)))

    def cost() -> float:
        stat = Path(f"/proc/{narrow.process.pid}/stat").read_text()
        return sum(map(int, stat.rsplit(")", 1)[1].split()[11:13])) / 100

    before = cost()
    for _ in range(3):
        with connect(narrow) as connection:
            connection.sendall(CHUNKED + pieces + b"0\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    assert cost() - before < 3 * 0.5
    honest(narrow)


def test_asked_to_end_it_cuts_what_does_not(tmp_path: Path) -> None:
    """A client that sends is answered; one that stopped gets the reason, and the service ends."""
    log = tmp_path / "log"
    options = ("--patience", "60", "--end", "1")
    with started(*options, log=log) as running:
        stuck, sends, idle = running.open(), running.open(), connect(running)
        chunk(stuck, BODY[:20000])
        chunk(sends, BODY[:20000])
        until(lambda: running.metric("wakestate_verify_streams") == 2)
        running.process.send_signal(signal.SIGTERM)
        chunk(sends, BODY[20000:])
        assert sends.getresponse().status == 200
        response = stuck.getresponse()
        assert response.status == 503 and response.getheader("Retry-After") == "1"
        assert json.loads(response.read())["errors"][0]["problem"] == "the service ends"
        for connection in (stuck, sends, idle):
            connection.close()
        assert running.process.wait(60) == 0
    assert "Traceback" not in log.read_text()


def test_metrics_have_few_labels(narrow: Running) -> None:
    for number in range(30):
        narrow.post(BODY, {**QUERY, "word": f"w{number}", "state": f"s{number}=1"})
        narrow.ask("GET", f"/path{number}")
    with connect(narrow) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        ((_, text),) = whole(connection)
    series = [line for line in text.decode().splitlines() if line.startswith("wakestate")]
    assert len(series) < 80 and not any("path" in line or "s1=1" in line for line in series)


def test_the_page_loads_nothing(narrow: Running) -> None:
    loads: list[tuple[str, str]] = []

    class Loads(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            assert tag not in ("script", "link", "img", "iframe")
            loads.extend((n, v or "") for n, v in attrs if n in ("src", "href"))

    with connect(narrow) as connection:
        connection.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        data = b""
        while piece := connection.recv(65536):
            data += piece
    head, _, page = data.decode().partition("\r\n\r\n")
    assert "default-src 'none'" in head and "200 OK" in head
    Loads().feed(page)
    assert loads == [("href", "openapi.json")]
    for word in ("POST /v1/verify", "startIndexInSamples", "too many uploads", "milliseconds"):
        assert word in page
