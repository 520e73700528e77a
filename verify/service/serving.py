# SPDX-License-Identifier: Apache-2.0
"""Runs the service: its keys, its address, its end. verify/service/app.py says what it answers."""

from __future__ import annotations

import copy
import ipaddress
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from threadpoolctl import threadpool_limits

from wakestate.verify.protocol.api import Settings
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.service import infer
from wakestate.verify.service.app import Service, create_app
from wakestate.verify.service.batching import Verifier
from wakestate.verify.service.connections import Connection
from wakestate.verify.service.detector import TrainedVerifier
from wakestate.words import Word

KEYS = "WAKESTATE_KEYS"
_KEY_MIN = 16  # characters
CONNECTIONS_MAX = 4096
_OTHER_FILES = 100  # than connections
_END_S = 14  # until what still runs after SIGTERM is stopped; Service.END_S comes first


def missing(word: str, folder: Path) -> str:
    """Which file of a trained verifier is not there, and a hint; "" where all are."""
    for name in (infer.FACTS, infer.WEIGHTS):
        if not (folder / name).is_file():
            return (
                f"{folder / name}: no such file; `wakestate verifier train --word {word}` makes it"
            )
    return ""


def load_verifier(word: Word, folder: Path, model: Path) -> TrainedVerifier:
    """Of a verifier's folder and the detector's. GatewayError."""
    problem = missing(word.name, folder)
    if problem:
        raise GatewayError(problem)
    return TrainedVerifier.load(folder, word, model)


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
    for number, key in enumerate(keys, 1):  # the key itself is not shown
        if len(key) < _KEY_MIN or not key.isascii() or not key.isprintable() or " " in key:
            raise GatewayError(
                f"{where}: key {number}: allowed: {_KEY_MIN} or more ASCII characters without "
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
        hint = "take another PORT, or 0 for any that is free"
        raise GatewayError(f"{host}:{port}: {error.strerror}; {hint}") from None
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
                f"the front end does not compile: {error}; apt-get install gcc"
            ) from None
        service: Service = app.state.service
        Connection.max_connections = _connections()
        Connection.body_max = 16 * settings.samples + (1 << 16)  # chunks of a byte have six
        Connection.refused = service.metrics.refused
        config = uvicorn.Config(
            app,
            http=Connection,
            ws="none",
            lifespan="on",
            log_level="info" if access_log else "warning",
            access_log=access_log,
            log_config=_logging(),
            server_header=False,
            timeout_graceful_shutdown=_END_S,
        )
        # Small products: more threads wait for each other longer than they save, ten times as long
        # where another program needs the cores. One core is the network's, another the sockets'.
        threadpool_limits(1, "blas")
        signal.signal(signal.SIGTERM, _end)  # uvicorn raises it again when all is answered
        print(f"serving '{settings.word.name}' on {address_of(listener)}", flush=True)
        _Server(config, service).run([listener])


def _logging() -> dict[str, Any]:
    """uvicorn's, all of it on stderr."""
    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config


def _end(number: int, frame: Any) -> NoReturn:
    sys.exit(0)


class _Server(uvicorn.Server):
    """uvicorn's, which notifies the service when it is to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.end_soon()
        super().handle_exit(sig, frame)


def _connections() -> int:
    """How many may be open: as many files as the system allows, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(soft - _OTHER_FILES, 1)
    return CONNECTIONS_MAX
