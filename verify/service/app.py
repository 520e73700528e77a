# SPDX-License-Identifier: Apache-2.0
"""The verifier's HTTP service: docs/verifier.md.

`create_app` makes it of a verifier and settings; verify/service/serving.py runs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wakestate.convert.hostlib import Extractor
from wakestate.verify.protocol.api import (
    PATH,
    SOUND,
    About,
    Answer,
    Health,
    Problem,
    Problems,
    RefusedError,
    Settings,
)
from wakestate.verify.protocol.frames import PREROLL
from wakestate.verify.protocol.window import FeatureWindow, needed
from wakestate.verify.service.batching import Batcher, Verifier
from wakestate.verify.service.page import POLICY, page

_RETRY_S = 1
_GONE = 499  # in the metrics: the client disconnected
END_S = 10.0  # for uploads in progress when the service has to end
_CRUMB, _PAUSE_S = 160, 0.005  # bytes; chunks so small are gathered for so long
_SHOWN = 80  # characters of what was given


class Metrics:
    """The metrics for Prometheus."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        r, name = self.registry, "wakestate_verify_"
        self.requests = Counter(
            f"{name}requests",
            "Requests by HTTP status; 499: the client disconnected",
            ["status"],
            registry=r,
        )
        self.answers = Counter(
            f"{name}answers",
            "Answers by decision and device state",
            ["decision", "state"],
            registry=r,
        )
        self.sound = Counter(f"{name}sound_seconds", "Sound taken", registry=r)
        self.streams = Gauge(f"{name}streams", "Uploads in progress", registry=r)
        self.waited = Histogram(
            f"{name}answer_seconds",
            "From the end of the sound to the answer",
            registry=r,
            buckets=(0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5),
        )
        self.batches = Histogram(
            f"{name}batch_size",
            "Utterances in one run of the network",
            registry=r,
            buckets=(1, 2, 4, 8, 16, 32, 64),
        )

    def refused(self, status: int) -> None:
        self.requests.labels(status).inc()

    async def page(self) -> Response:
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class Service:
    """The requests' handlers, and what they share. All runs in one event loop."""

    def __init__(self, verifier: Verifier, settings: Settings) -> None:
        self._settings, self._verifier = settings, verifier
        bands = settings.word.frontend.bands
        if verifier.bands != bands:
            raise ValueError(
                f"the verifier takes {verifier.bands} bands; words/{settings.word.name}.toml has "
                f"{bands}: train it again"
            )
        self._extractor = Extractor(settings.word.frontend)
        self.metrics = Metrics()
        self._batcher = Batcher(verifier, settings.batch, self.metrics.batches.observe)
        self._streams = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends: float | None = None  # when what still runs is stopped, by the loop's time
        self._deadlines: set[asyncio.Timeout] = set()  # of the uploads in progress
        self._keys = [_digest(key) for key in settings.keys]

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self._batcher.start()
        yield
        await self._batcher.stop()

    def end_soon(self) -> None:
        """Uploads in progress have END_S from now on. Called by a signal's handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_soon, self._loop.time() + END_S)

    def _end_soon(self, end: float) -> None:
        self._ends = end
        for deadline in self._deadlines:
            if (when := deadline.when()) is None or when > end:
                deadline.reschedule(end)

    async def allowed(self, request: Request) -> None:
        """Refuse a client without a key."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        # All are compared, and none faster than another.
        matches = [hmac.compare_digest(_digest(given), key) for key in self._keys]
        if self._keys and (scheme.lower() != "bearer" or not any(matches)):
            raise RefusedError(
                401,
                "Authorization",
                "no key, or not one of this service",
                "send the header 'Authorization: Bearer KEY'",
                www_authenticate="Bearer",
            )

    async def verify(self, request: Request, about: Annotated[About, Query()]) -> Answer:
        """Was the word said? The body is the sound of one wake: 16-bit little-endian samples at
        16 kHz, one channel, no header; in chunks as it is recorded, or whole. The answer comes
        when enough of it is there, 1.5 s behind the word's start, or at its end if that is before.
        """
        self._check(request, about)
        if self._streams >= self._settings.streams:
            raise RefusedError(
                429,
                "request",
                f"{self._streams} uploads are in progress, as many as are allowed",
                f"ask again in {_RETRY_S} s",
                retry_after=str(_RETRY_S),
            )
        self._streams += 1
        self.metrics.streams.set(self._streams)
        try:
            return await self._answer(request, about)
        finally:
            self._streams -= 1
            self.metrics.streams.set(self._streams)

    async def health(self, response: Response) -> Health:
        """Whether it is ready to answer; else the status is 503."""
        ready = self._batcher.alive
        response.status_code = 200 if ready else 503
        return Health(ready=ready, word=self._settings.word.name, streams=self._streams)

    async def live(self) -> dict[str, bool]:
        """Whether it runs at all."""
        return {"live": True}

    def refuse(self, status: int, problems: list[Problem], headers: Any = None) -> JSONResponse:
        self.metrics.refused(status)
        body = Problems(errors=problems).model_dump()
        return JSONResponse(body, status_code=status, headers=headers)

    def _check(self, request: Request, about: About) -> None:
        """What can be known before the sound comes."""
        settings = self._settings
        given = request.headers.get("content-type", SOUND).partition(";")[0].strip().lower()
        if given != SOUND:
            raise RefusedError(
                415,
                "Content-Type",
                f"given {given[:_SHOWN]!r}; allowed: {SOUND}",
                "send the samples alone, 16-bit little-endian, 16 kHz, one channel, with "
                f"'Content-Type: {SOUND}'",
            )
        if about.word != settings.word.name:
            raise RefusedError(
                422,
                "word",
                f"given '{about.word}'; allowed: {settings.word.name}",
                "ask the service that serves this word",
            )
        if about.state is not None and about.state not in settings.word.states:
            raise RefusedError(
                422,
                "state",
                f"given '{about.state}'; allowed: {'; '.join(settings.word.states)}",
                "send the state's name from the device's START message, or none",
            )
        if about.end <= about.start:
            raise RefusedError(
                422,
                "endIndexInSamples",
                f"given {about.end}; allowed: above startIndexInSamples, {about.start}",
                "send the first sample behind the word",
            )
        if about.preroll is not None and about.preroll > about.start:
            raise RefusedError(
                422,
                "preroll",
                f"given {about.preroll}; allowed: up to startIndexInSamples",
                "send how many samples of the sound come before the word",
            )
        if about.end - about.origin > settings.samples:
            raise RefusedError(
                422,
                "endIndexInSamples",
                f"{about.end - about.origin} samples into the sound; allowed: {settings.samples}",
                f"begin the sound at most {PREROLL} samples before the word",
            )
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > 2 * settings.samples:
            raise self._too_long(f"{length} bytes")

    def _too_long(self, given: str) -> RefusedError:
        maximum = self._settings.samples
        return RefusedError(
            413,
            "body",
            f"{given}; allowed: {2 * maximum} bytes, {self._settings.seconds:g} s",
            "end the sound 1.5 s behind the word's start: no more is needed",
        )

    async def _answer(self, request: Request, about: About) -> Answer:
        settings, word = self._settings, self._settings.word
        window = FeatureWindow(self._extractor, about.start - about.origin, self._verifier.frames)
        samples = needed(word.frontend, about.start - about.origin, self._verifier.frames)
        longest = min(samples, settings.samples) / word.frontend.sample_rate + settings.patience_s
        try:
            async with asyncio.timeout(longest) as deadline:
                self._deadlines.add(deadline)
                if self._ends is not None:
                    self._end_soon(self._ends)
                await self._receive(request, window, about)
        except TimeoutError:
            if self._ends is not None and asyncio.get_running_loop().time() >= self._ends:
                raise RefusedError(
                    503,
                    "request",
                    "the service ends",
                    "ask again",
                    connection="close",
                    retry_after=str(_RETRY_S),
                ) from None
            raise RefusedError(
                408,
                "body",
                f"not there after {longest:.1f} s",
                "send the sound as fast as it is spoken, or faster",
                connection="close",
            ) from None
        finally:
            self._deadlines.discard(deadline)
        there = time.perf_counter()
        state = 0 if about.state is None else word.states.index(about.state)
        result = await self._batcher.verify(window.features(), state)
        spent = time.perf_counter() - there
        accept = result.score >= self._verifier.threshold
        self.metrics.waited.observe(spent)
        self.metrics.answers.labels(
            "accept" if accept else "reject", about.state or "not given"
        ).inc()
        self.metrics.requests.labels(200).inc()
        return Answer(
            accept=accept,
            score=round(result.score, 4),
            threshold=round(self._verifier.threshold, 4),
            start=about.origin + window.sample(result.start),
            end=about.origin + window.sample(result.end),
            milliseconds=round(1000 * spent, 1),
        )

    async def _receive(self, request: Request, window: FeatureWindow, about: About) -> None:
        """Until the window is full, or the sound ends."""
        total, odd = 0, b""
        async for chunk in request.stream():
            data = odd + chunk
            if total == 0 and data.startswith(b"RIFF"):
                raise RefusedError(
                    400,
                    "body",
                    "begins with a WAV header",
                    "send the samples alone: sox x.wav -t raw -e signed -b 16 -r 16000 -c 1 -",
                )
            whole = len(data) // 2
            odd = data[2 * whole :]
            window.feed(np.frombuffer(data, "<i2", whole).astype(np.int16))
            total += whole
            self.metrics.sound.inc(whole / self._settings.word.frontend.sample_rate)
            if window.full:
                return
            if total > self._settings.samples:
                raise self._too_long(f"{2 * total} bytes so far")
            if len(chunk) < _CRUMB:  # each piece costs, however small it is
                await asyncio.sleep(_PAUSE_S)
        if odd:
            raise RefusedError(
                400,
                "body",
                f"{2 * total + 1} bytes: ends within a sample",
                "send whole samples, two bytes each",
            )
        if total < about.end - about.origin:
            raise RefusedError(
                400,
                "body",
                f"{total} samples; the word ends at {about.end - about.origin} of it",
                "send the whole word, or the indices of this sound",
            )


def create_app(verifier: Verifier, settings: Settings) -> FastAPI:
    """The service as an ASGI application. ValueError where the verifier does not fit the word."""
    service = Service(verifier, settings)
    app = FastAPI(
        title=f"Wakestate: the verifier at '{settings.word.name}'",
        version="1",
        lifespan=service.lifespan,
        docs_url=None,  # which would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.service = service
    _add_routes(app, service)
    _add_error_answers(app, service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    guarded = [
        Depends(service.allowed),
        Depends(HTTPBearer(auto_error=False, description="needed where the service has keys")),
    ]
    why = {
        400: "odd bytes, a WAV header, or a sound that ends before the word",
        401: "no key",
        408: "the sound came too slowly",
        413: "too much sound",
        415: "not the content type of samples",
        422: "a parameter is missing or wrong",
        429: "too many uploads at a time: ask again after Retry-After",
        503: "the service ends",
    }
    sound = {"schema": {"type": "string", "format": "binary"}}
    app.add_api_route(
        PATH,
        service.verify,
        methods=["POST"],
        dependencies=guarded,
        response_model=Answer,
        responses={n: {"model": Problems, "description": text} for n, text in why.items()},
        openapi_extra={"requestBody": {"required": True, "content": {SOUND: sound}}},
    )
    app.add_api_route("/health", service.health, responses={503: {"model": Health}})
    app.add_api_route("/health/live", service.live)
    app.add_api_route("/metrics", service.metrics.page, dependencies=guarded)

    async def docs() -> Response:
        headers = {"Content-Security-Policy": POLICY}
        return Response(page(app.openapi()), media_type="text/html", headers=headers)

    app.add_api_route("/docs", docs, include_in_schema=False)


def _add_error_answers(app: FastAPI, service: Service) -> None:
    """What cannot be answered is JSON as well: `Problems`."""

    @app.exception_handler(RefusedError)
    async def refused(request: Request, error: RefusedError) -> Response:
        return service.refuse(error.status, [error.problem], error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return service.refuse(422, [_problem(item) for item in error.errors()])

    @app.exception_handler(HTTPException)
    async def no_such(request: Request, error: HTTPException) -> Response:
        problem = Problem(
            field="path",
            problem=f"{request.method} {request.url.path[:_SHOWN]}: {error.detail}",
            hint=f"POST {PATH}; /docs lists the rest",
        )
        return service.refuse(error.status_code, [problem], error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        service.metrics.requests.labels(_GONE).inc()
        return Response(status_code=_GONE)  # which nobody reads

    @app.exception_handler(Exception)
    async def failed(request: Request, error: Exception) -> Response:
        problem = Problem(
            field="service", problem="it failed", hint="ask again; its log has the reason"
        )
        return service.refuse(500, [problem])


def _problem(item: Any) -> Problem:
    field = str(item["loc"][-1])[:_SHOWN]
    if item["type"] == "missing":
        return Problem(field=field, problem="missing", hint=f"add {field}=... to the query")
    if item["type"] == "extra_forbidden":
        return Problem(
            field=field, problem="unknown", hint="leave it out; /docs lists what there is"
        )
    given = str(item.get("input"))[:_SHOWN]
    return Problem(field=field, problem=f"given '{given}'", hint=str(item["msg"]))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
