# SPDX-License-Identifier: Apache-2.0
"""A gateway's sink that posts each utterance to the verifier's service as it comes in."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import math
import select
import socket
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wakestate import ROOT
from wakestate.audio import RATE
from wakestate.verify.gateway.gateway import Sink, Utterance
from wakestate.verify.protocol.api import PATH, SOUND, Answer
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import Start
from wakestate.words import WordError, load_word
from wakestate.words.schema import FrontEnd

GIVE_UP_S = 15.0  # after the sound's end
WORKERS = 6  # utterances that are posted at a time
WAITING = 24  # more may wait; then the device that has most of these loses its oldest
_SOUND_S = 15  # of an utterance, as the service takes by default
_SOUND_MAX = 2 * _SOUND_S * RATE  # bytes
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_PATIENCE_S = 10.0  # for one answer
_WORDS = ROOT / "words"
_FIELDS = {field.serialization_alias or name for name, field in Answer.model_fields.items()}
_RETRIED = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Verdict:
    """What became of one utterance: the service's answer, or why there is none.

    Times in seconds of the device's clock, as in its event "wake".
    """

    start: Start
    answer: dict[str, Any] | None
    problem: str = ""
    device: str = ""

    def seconds(self, index: int) -> float:
        """The device's time of a sample of the utterance."""
        return (self.start.wake_sample - self.start.wake_index + index) / self.start.sample_rate

    def line(self) -> str:
        """JSON, as the device's line "wake"."""
        event: dict[str, Any] = {
            "type": "verdict",
            **({"device": self.device} if self.device else {}),
            "utterance": self.start.utterance,
            "word": self.start.word,
            "t": round(self.seconds(self.start.wake_index), 3),
        }
        if self.answer is None:
            return json.dumps({**event, "problem": self.problem})
        a = self.answer
        return json.dumps(
            {
                **event,
                "accept": a["accept"],
                "score": a["score"],
                "threshold": a["threshold"],
                "start": round(self.seconds(a["startIndexInSamples"]), 3),
                "end": round(self.seconds(a["endIndexInSamples"]), 3),
                "ms": a["milliseconds"],
            }
        )


class Service:
    """Where utterances are posted to: `url` as http://host:8080, and a key where it needs one."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urllib.parse.urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise GatewayError(f"{url}: no address of a service; allowed: http://HOST:PORT")
        if parts.query or parts.fragment or parts.username:
            raise GatewayError(
                f"{url}: allowed: http://HOST:PORT, without what follows; see --help"
            )
        self.url, self._host, self._port = url, parts.hostname, port
        self.plain = parts.scheme == "http"
        self._path = parts.path.rstrip("/").removesuffix(PATH) + PATH
        self._key = key

    def begin(self, start: Start) -> http.client.HTTPConnection:
        """A connection on which the chunks of the utterance can follow. OSError."""
        kind = http.client.HTTPConnection if self.plain else http.client.HTTPSConnection
        connection = kind(self._host, self._port, timeout=_PATIENCE_S)
        query = {
            "word": start.word,
            "state": start.state,
            "startIndexInSamples": start.start_index,
            "endIndexInSamples": start.end_index,
        }
        try:
            connection.putrequest("POST", f"{self._path}?{urllib.parse.urlencode(query)}")
            connection.putheader("Content-Type", SOUND)
            connection.putheader("Transfer-Encoding", "chunked")
            if self._key:
                connection.putheader("Authorization", f"Bearer {self._key}")
            connection.endheaders()
        except BaseException:
            connection.close()
            raise
        return connection


class Poster:
    """A Sink. Some threads post, so a slow service does not hold up the devices: WORKERS at a
    time, WAITING more in a queue, from which the device with the fewest in progress comes first.

    `on_verdict` is called with each verdict, by one of these threads; `wake` when something has
    changed.
    """

    def __init__(
        self,
        service: Service,
        on_verdict: Callable[[Verdict], None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self._service, self._on_verdict, self._wake = service, on_verdict, wake
        self._lock = threading.Lock()
        self._now: dict[str, _Post] = {}  # of each device, the one in progress
        self._waiting: list[_Post] = []
        self._working: list[_Post] = []
        self._threads: list[threading.Thread] = []

    @property
    def busy(self) -> bool:
        """Utterances wait for their answers."""
        with self._lock:
            return bool(self._waiting or self._working)

    def full(self) -> bool:
        """The queue is so full that what can wait should: a file."""
        return len(self._waiting) >= WAITING // 2

    def begin(self, utterance: Utterance) -> None:
        post = _Post(self._service, self._on_verdict, utterance)
        self._now[utterance.device] = post
        dropped = None
        with self._lock:
            self._waiting.append(post)
            if len(self._waiting) > WAITING:
                count = Counter(waiting.device for waiting in self._waiting)
                longest = max(self._waiting, key=lambda waiting: count[waiting.device])
                dropped = longest
                self._waiting.remove(longest)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            if len(self._threads) < WORKERS:
                self._threads.append(threading.Thread(target=self._work, daemon=True))
                self._threads[-1].start()
        if dropped is not None:
            dropped.end(f"not posted: {WAITING} utterances wait already")

    def more(self, utterance: Utterance) -> bool:
        post = self._now[utterance.device]
        post.add(utterance.raw(post.samples))
        return post.enough

    def end(self, utterance: Utterance) -> None:
        post = self._now.pop(utterance.device)
        post.add(utterance.raw(post.samples))
        post.finish()

    def close(self, within_s: float = math.inf) -> None:
        """Wait for the answers, each up to some GIVE_UP_S; those that are not there in time will
        not come."""
        end = time.monotonic() + within_s
        for thread in list(self._threads):
            thread.join(min(max(end - time.monotonic(), 0), threading.TIMEOUT_MAX))
        with self._lock:
            left = [*self._working, *self._waiting]
            self._waiting.clear()
        for post in left:
            post.end("the gateway ended before the answer came")

    def _work(self) -> None:
        """Post what waits, until nothing does."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads.remove(threading.current_thread())
                    return
                at_work = Counter(post.device for post in self._working)
                post = min(self._waiting, key=lambda post: at_work[post.device])
                self._waiting.remove(post)
                self._working.append(post)
            try:
                post.run()
            finally:
                with self._lock:
                    self._working.remove(post)
                self._wake()


class _Post:
    """One utterance on its way: the gateway adds sound, a thread runs it."""

    def __init__(
        self, service: Service, on_verdict: Callable[[Verdict], None], utterance: Utterance
    ) -> None:
        self.device = utterance.device
        self._service, self._on_verdict, self._start = service, on_verdict, utterance.start
        self._max_bytes = _max_bytes(utterance.start)
        self._data = bytearray()
        self._complete = self._answered = False
        self._changed = threading.Condition()
        self._ended = time.monotonic() + _SOUND_S  # when the sound did, at the latest
        self._connection: http.client.HTTPConnection | None = None

    @property
    def samples(self) -> int:
        return len(self._data) // 2

    @property
    def enough(self) -> bool:
        return self._answered or self._complete

    def add(self, data: bytes) -> None:
        if data and not self._complete:
            with self._changed:
                self._data += data[: self._max_bytes - len(self._data)]
                self._changed.notify()
            if len(self._data) >= self._max_bytes:
                self.finish()

    def finish(self) -> None:
        """No more sound comes."""
        with self._changed:
            if not self._complete:
                self._complete, self._ended = True, min(time.monotonic(), self._ended)
            self._changed.notify()

    def end(self, problem: str) -> None:
        """There will be no answer."""
        self._answer(Verdict(self._start, None, problem, self.device))
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _answer(self, verdict: Verdict) -> None:
        """Report it, once."""
        with self._changed:
            if self._answered:
                return
            self._answered = self._complete = True
            self._changed.notify()
        self._on_verdict(verdict)

    def run(self) -> None:
        pause = _FIRST_PAUSE_S
        while not self._answered:
            try:
                verdict, wait = self._try()
            except (OSError, http.client.HTTPException) as error:
                problem = f"{self._service.url}: no answer: {error or type(error).__name__}"
                verdict, wait = Verdict(self._start, None, problem, self.device), 0.0
            except Exception as error:  # of this one; the next has its own
                problem = f"{self._service.url}: {type(error).__name__}: {error}"
                verdict, wait = Verdict(self._start, None, problem, self.device), None
            if wait is None or time.monotonic() > self._ended + GIVE_UP_S:
                self._answer(verdict)
                return
            with self._changed:
                self._changed.wait_for(lambda: self._answered, max(wait, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _try(self) -> tuple[Verdict, float | None]:
        """One request. Beside the verdict how long to wait before the next, None for no next."""
        connection = self._connection = self._service.begin(self._start)
        try:
            lost: OSError | None = None
            try:
                self._send(connection)
            except OSError as error:  # it may have answered before it closed
                lost = error
            try:
                response = connection.getresponse()
                body = response.read(65536)
            except (OSError, http.client.HTTPException) as error:
                raise lost or error from None
        finally:
            self._connection = None
            connection.close()
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        if response.status == 200 and _is_answer(answer):
            return Verdict(self._start, answer, device=self.device), None
        wait = None
        if response.status in _RETRIED:
            after = response.getheader("Retry-After") or ""
            wait = min(float(after), GIVE_UP_S) if after.isdecimal() else 0.0
        why = _why(self._service.url, response.status, answer)
        return Verdict(self._start, None, why, self.device), wait

    def _send(self, connection: http.client.HTTPConnection) -> None:
        """The sound so far, and what comes, until it is whole or the service has answered."""
        sent = 0
        while True:
            with self._changed:
                if not self._complete and len(self._data) == sent:
                    self._changed.wait(0.5)
                data, whole = bytes(self._data[sent:]), self._complete
            # By TLS, what can be read may be none of the answer.
            if self._answered or (self._service.plain and _readable(connection.sock)):
                return
            if data:
                connection.send(b"%x\r\n%s\r\n" % (len(data), data))
                sent += len(data)
            if whole:
                connection.send(b"0\r\n\r\n")
                return


def _readable(sock: socket.socket) -> bool:
    """Something came, or it was closed."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _is_answer(answer: Any) -> bool:
    """Whether it has the fields of verify/service/api.Answer, with values that they can have."""

    def number(value: Any) -> bool:
        return isinstance(value, int | float) and abs(value) < 2**53  # NaN is not

    return (
        isinstance(answer, dict)
        and answer.keys() >= _FIELDS
        and isinstance(answer["accept"], bool)
        and all(number(answer[name]) for name in _FIELDS - {"accept"})
    )


def _max_bytes(start: Start) -> int:
    """Bytes that are enough; without the word's file the service must say when it has them."""
    from wakestate.verify.protocol.window import (
        needed,  # what it needs takes longer to load than all else here
    )

    frontend = _frontend(start.word)
    enough = _SOUND_MAX if frontend is None else 2 * needed(frontend, start.start_index)
    return min(enough, _SOUND_MAX)


@functools.lru_cache(16)
def _frontend(word: str) -> FrontEnd | None:
    try:
        return load_word(_WORDS / f"{word}.toml").frontend
    except WordError:
        return None


def _why(url: str, status: int, answer: Any) -> str:
    try:
        errors = [f"{e['field']}: {e['problem']}; {e['hint']}" for e in answer["errors"]]
    except (TypeError, KeyError):
        errors = ["no answer of a Wakestate service; is the address right?"]
    return f"{url}: {status}: {' '.join(errors)}"


def load_key(path: Path) -> str:
    """The first key of a file, as the service's own --keys. GatewayError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GatewayError(f"{path}: cannot be read: {error}") from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys or not keys[0].isascii() or not keys[0].isprintable():
        raise GatewayError(f"{path}: no key in it; the service's --keys file will do")
    return keys[0]


class Both:
    """A Sink that hands all to two; it is enough when both have enough."""

    def __init__(self, first: Sink, second: Sink) -> None:
        self._first, self._second = first, second

    def begin(self, utterance: Utterance) -> None:
        self._first.begin(utterance)
        self._second.begin(utterance)

    def more(self, utterance: Utterance) -> bool:
        enough = self._first.more(utterance)
        return self._second.more(utterance) and enough

    def end(self, utterance: Utterance) -> None:
        self._first.end(utterance)
        self._second.end(utterance)
