# SPDX-License-Identifier: Apache-2.0
"""Connections of the service: uvicorn's, with bounds on what a client may cost before it is served.

What is refused here is refused in JSON, as everywhere.
"""

from __future__ import annotations

import http
import json
from asyncio import TimerHandle, Transport
from collections.abc import Callable
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0  # for a request's head; and for what still comes of one that was answered
_HEAD_MAX = 16 << 10  # bytes
_HEADERS_MAX = 100
_PIPELINE_MAX = 8  # requests that wait for the answer to the one before
_REST_MAX = 32 << 20  # bytes that are ignored after an answer


class _RefusedError(Exception):
    """Raised where the parser calls: what it reads is refused."""


class Connection(HttpToolsProtocol):
    """One client's. Of those that are no request yet the oldest makes place for a new one.

    Class attributes are set by serving.py: `max_connections` connections; `body_max` bytes on the
    line of one request; `refused` is called with the status of what is refused here.
    """

    max_connections: ClassVar[int] = 1024
    body_max: ClassVar[int] = 1 << 22
    refused: ClassVar[Callable[[int], None]] = staticmethod(lambda status: None)
    _idle: ClassVar[dict[Connection, None]] = {}  # those without a request, the oldest first

    _timer: TimerHandle | None = None
    _why: tuple[int, str, str] | None = None  # status, problem and hint
    _in_head, _in_message, lingers = True, False, False
    _bytes = 0  # of this request, or of what comes behind an answer
    _size = 0  # of its head

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.max_connections:
            oldest = next(iter(self._idle))
            problem = f"{self.max_connections} connections are open, as many as may"
            oldest.refuse(429, problem, "ask as soon as you are connected; try again")
            oldest.transport.close()
            oldest._stop()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._bytes += len(data)
        if self.lingers or (self.cycle is not None and self.cycle.response_complete):
            if self._bytes > _REST_MAX:
                self.transport.close()
            if self.lingers:
                return
        try:
            self.parser.feed_data(data)
            self._check()
        except httptools.HttpParserUpgrade:
            pass  # to nothing: it is answered as any other
        except (httptools.HttpParserError, _RefusedError):
            self.refuse(*(self._why or (400, "is no HTTP/1.1", "send an HTTP/1.1 request")))
        self._watch()

    def _check(self) -> None:
        if self._in_head and self._bytes > _HEAD_MAX:
            raise self._no(431, f"its head has more than {_HEAD_MAX} bytes", "send a shorter one")
        if self._in_message and self._bytes > self.body_max:
            raise self._no(
                413, f"{self._bytes} bytes so far", "send less sound, in chunks of 20 ms or more"
            )

    def _no(self, *why: Any) -> _RefusedError:
        self._why = why
        return _RefusedError()

    # What the parser calls.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._in_message = True
        self._size = 0
        if self.cycle is not None:
            self._bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._measure(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._measure(len(name) + len(value))

    def _measure(self, size: int) -> None:
        self._size += size
        if self._size > _HEAD_MAX or len(self.headers) > _HEADERS_MAX:
            raise self._no(
                431,
                f"its head has more than {_HEAD_MAX} bytes or {_HEADERS_MAX} headers",
                "send a shorter one",
            )

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= _PIPELINE_MAX:
            raise self._no(
                429, f"{_PIPELINE_MAX} requests wait for the answer before", "await each answer"
            )
        super().on_headers_complete()
        self._in_head = False
        self.cycle.transport = _Lingering(self)  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_message = False

    # Ends.

    def on_response_complete(self) -> None:
        if self.lingers:
            self.pipeline.clear()
        self._bytes = 0
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop()

    def shutdown(self) -> None:
        """The service ends."""
        if self.lingers:
            self.transport.close()
        else:
            super().shutdown()

    def refuse(self, status: int, problem: str, hint: str) -> None:
        """Answer without the service, and close."""
        begun = self.cycle is not None and self.cycle.response_started
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.pipeline.clear()
        if not self.transport.is_closing() and not self.lingers:
            if not begun or self.cycle.response_complete:
                self.transport.write(answer(status, problem, hint))
                type(self).refused(status)
            self.linger()

    def linger(self) -> None:
        """Close, but take what the client still sends: else it may not see the answer."""
        self._bytes = 0
        if not self._in_message and not self._in_head:
            self.transport.close()
        elif not self.lingers and not self.transport.is_closing():
            self.lingers = True
            self.flow.resume_reading()
            try:
                self.transport.write_eof()
            except OSError:  # the client has gone
                self.transport.close()

    def _watch(self) -> None:
        """No request is in progress: HEAD_S for what there is to come."""
        if self.cycle is not None and not self.cycle.response_complete and not self.lingers:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_S, self._late)
            self._idle[self] = None

    def _stop(self) -> None:
        self._idle.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self) -> None:
        if self._in_head and not self.lingers and not self.transport.is_closing():
            self.transport.write(answer(408, "its head was not there in time", "send it at once"))
            type(self).refused(408)
        self.transport.close()


class _Lingering:
    """A connection's transport as the request that is answered sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, data: bytes) -> None:
        if not self._connection.lingers:  # a request before this one was refused
            self._connection.transport.write(data)

    def is_closing(self) -> bool:
        return self._connection.transport.is_closing()

    def close(self) -> None:
        self._connection.linger()


def answer(status: int, problem: str, hint: str) -> bytes:
    """A whole response that refuses a request."""
    errors = [{"field": "request", "problem": problem, "hint": hint}]
    body = json.dumps({"errors": errors}).encode()
    retry = "Retry-After: 1\r\n" if status == 429 else ""
    head = (
        f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nConnection: close\r\n{retry}"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
