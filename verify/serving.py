"""Runs the service: its keys, its address, its end. verify/service.py says what it answers."""

from __future__ import annotations

import copy
import ipaddress
import os
import signal
import socket
import subprocess
import sys
from asyncio import TimerHandle, Transport
from pathlib import Path
from typing import Any, NoReturn

import h11
import uvicorn
from threadpoolctl import threadpool_limits
from uvicorn.protocols.http.h11_impl import H11Protocol

from verify import infer
from verify.api import Settings
from verify.batching import Verifier
from verify.first import SecondLook
from verify.gateway import GatewayError
from verify.service import create_app
from words import Word

KEYS = "WAKESTATE_KEYS"
_KEY_LEAST = 16  # characters
HEAD_S = 10.0  # for a request's head; and for what still comes of one that was answered
_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
_LATE_BODY = (
    b'{"errors":[{"field":"request","problem":"its head was not there in time",'
    b'"mend":"send it at once"}]}'
)


def missing(word: str, folder: Path) -> str:
    """Which file of a trained verifier is not there, and the mend; "" where all are."""
    for name in (infer.FACTS, infer.WEIGHTS):
        if not (folder / name).is_file():
            return f"{folder / name}: no such file; `make verify-train WORD={word}` makes it"
    return ""


def load_verifier(word: Word, folder: Path, model: Path) -> SecondLook:
    """Of a verifier's folder and the first network's. GatewayError."""
    problem = missing(word.name, folder)
    if problem:
        raise GatewayError(problem)
    return SecondLook.load(folder, word, model)


def load_keys(path: Path | None) -> tuple[str, ...]:
    """Of a file, one a line, and of the environment, with commas between. GatewayError."""
    where, given = f"${KEYS}", os.environ.get(KEYS, "").split(",")
    if path is not None:
        where = str(path)
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise GatewayError(f"{path}: cannot be read: {error}") from None
        given = [line for line in lines if not line.startswith("#")]
    keys = tuple(key.strip() for key in given if key.strip())
    if path is not None and not keys:
        raise GatewayError(f"{path}: no key in it; `openssl rand -hex 32 > {path}` makes one")
    for number, key in enumerate(keys, 1):  # the key itself is not told
        if len(key) < _KEY_LEAST or not key.isascii() or not key.isprintable() or " " in key:
            raise GatewayError(
                f"{where}: key {number}: allowed: {_KEY_LEAST} or more ASCII characters without "
                "spaces; `openssl rand -hex 32` makes one"
            )
    return keys


def listen(host: str, port: int, keys: tuple[str, ...]) -> socket.socket:
    """A socket that listens there; without keys on loopback only. GatewayError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise GatewayError(f"{host}: no such address: {error.strerror}") from None
    if not keys and not ipaddress.ip_address(address[0]).is_loopback:
        raise GatewayError(
            f"{host}: reached by others, and there are no keys: give --keys FILE (make: "
            f"KEYS=FILE) or ${KEYS}, or listen on 127.0.0.1"
        )
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        mend = "take another PORT, or 0 for any that is free"
        raise GatewayError(f"{host}:{port}: {error.strerror}; {mend}") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """As http://127.0.0.1:8080."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    verifier: Verifier, settings: Settings, host: str, port: int, *, access_log: bool = False
) -> None:
    """Until SIGTERM or Ctrl-C; then what was accepted is answered. Prints its address first."""
    listener = listen(host, port, settings.keys)
    with listener:
        try:
            app = create_app(verifier, settings)
        except ValueError as error:
            raise GatewayError(f"{settings.word.name}: {error}") from None
        except (OSError, subprocess.CalledProcessError) as error:
            raise GatewayError(
                f"the front end does not compile: {error}; `make setup` installs gcc"
            ) from None
        config = uvicorn.Config(
            app,
            http=_Patient,
            ws="none",
            lifespan="on",
            log_level="info" if access_log else "warning",
            access_log=access_log,
            log_config=_logging(),
            server_header=False,
            # More than may upload, so that they are told in JSON; but not without end.
            limit_concurrency=2 * settings.streams + 64,
            timeout_graceful_shutdown=round(settings.longest_s) + 10,
        )
        # Small products: more threads wait for each other longer than they save, ten times as long
        # where another program wants the cores. One core is the network's, another the sockets'.
        threadpool_limits(1, "blas")
        signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again when all is answered
        print(f"serving '{settings.word.name}' on {address_of(listener)}", flush=True)
        uvicorn.Server(config).run([listener])


def _logging() -> dict[str, Any]:
    """uvicorn's, all of it on stderr."""
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config


def _end(number: int, frame: Any) -> NoReturn:
    sys.exit(0)


class _Patient(H11Protocol):
    """uvicorn's, which waits for ever for a request's head, and for the rest of a body that was
    answered before its end. Here both have HEAD_S."""

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self.conn.our_state is h11.IDLE and not self.transport.is_closing():
            self.transport.write(_LATE % (len(_LATE_BODY), _LATE_BODY))
        self.transport.close()
