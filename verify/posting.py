"""A gateway's sink that posts each utterance to the service of the second look as it comes in."""

from __future__ import annotations

import functools
import http.client
import json
import math
import select
import threading
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from verify.api import PATH, SOUND, Answer
from verify.cut import needed
from verify.frames import Start
from verify.gateway import GatewayError, Sink, Utterance
from words import WordError, load_word
from words.schema import FrontEnd

GIVE_UP_S = 15.0  # after the sound's end
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 4.0
_PATIENCE_S = 10.0  # for one answer
_WORDS = Path(__file__).resolve().parent.parent / "words"
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

    def seconds(self, index: int) -> float:
        """The device's time of a sample of the utterance."""
        return (self.start.wake_sample - self.start.wake_index + index) / self.start.sample_rate

    def line(self) -> str:
        """JSON, beside the device's line "wake"."""
        event: dict[str, Any] = {
            "type": "verdict",
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
    """Where utterances are posted to: `url` as http://host:8080, and a key where it wants one."""

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
    """A Sink. Each utterance has a thread of its own: a slow service does not hold up the device.

    `tell` is called with each verdict, by that thread.
    """

    def __init__(self, service: Service, tell: Callable[[Verdict], None]) -> None:
        self._service, self._tell = service, tell
        self._posts: list[_Post] = []

    def begin(self, utterance: Utterance) -> None:
        self._posts = [post for post in self._posts if post.is_alive()]
        self._posts.append(_Post(self._service, self._tell, utterance.start))
        self._posts[-1].start()

    def more(self, utterance: Utterance) -> bool:
        post = self._posts[-1]
        post.add(utterance.raw(post.samples))
        return post.enough

    def end(self, utterance: Utterance) -> None:
        post = self._posts[-1]
        post.add(utterance.raw(post.samples))
        post.finish()

    def close(self) -> None:
        """Wait for the answers; none takes longer than some GIVE_UP_S."""
        for post in self._posts:
            post.finish()
            post.join()


class _Post(threading.Thread):
    """One utterance on its way."""

    def __init__(self, service: Service, tell: Callable[[Verdict], None], start: Start) -> None:
        super().__init__(name=f"utterance {start.utterance}", daemon=True)
        self._service, self._tell, self._start = service, tell, start
        self._most = _most(start)
        self._data = bytearray()
        self._whole = self._answered = False
        self._changed = threading.Condition()
        self._ended = math.inf  # when the sound did, by time.monotonic

    @property
    def samples(self) -> int:
        return len(self._data) // 2

    @property
    def enough(self) -> bool:
        return self._answered or self._whole

    def add(self, data: bytes) -> None:
        if data and not self._whole:
            with self._changed:
                self._data += data
                self._changed.notify()
            if len(self._data) >= self._most:
                self.finish()

    def finish(self) -> None:
        """No more sound comes."""
        with self._changed:
            if not self._whole:
                self._whole, self._ended = True, time.monotonic()
            self._changed.notify()

    def run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                verdict, wait = self._try()
            except (OSError, http.client.HTTPException) as error:
                problem = f"{self._service.url}: no answer: {error or type(error).__name__}"
                verdict, wait = Verdict(self._start, None, problem), 0.0
            if wait is None or time.monotonic() > self._ended + GIVE_UP_S:
                break
            time.sleep(max(wait, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        self._answered = True
        self._tell(verdict)

    def _try(self) -> tuple[Verdict, float | None]:
        """One request. Beside the verdict how long to wait before the next, None for no next."""
        connection = self._service.begin(self._start)
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
            connection.close()
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if response.status == 200 and isinstance(answer, dict) and answer.keys() >= _FIELDS:
            return Verdict(self._start, answer), None
        wait = None
        if response.status in _RETRIED:
            after = response.getheader("Retry-After") or ""
            wait = min(float(after), GIVE_UP_S) if after.isdecimal() else 0.0
        return Verdict(self._start, None, _why(self._service.url, response.status, answer)), wait

    def _send(self, connection: http.client.HTTPConnection) -> None:
        """The sound so far, and what comes, until it is whole or the service has answered."""
        sent = 0
        while True:
            with self._changed:
                if not self._whole and len(self._data) == sent:
                    self._changed.wait(0.5)
                data, whole = bytes(self._data[sent:]), self._whole
            # By TLS, what can be read may be none of the answer.
            if self._service.plain and select.select([connection.sock], [], [], 0)[0]:
                return
            if data:
                connection.send(b"%x\r\n%s\r\n" % (len(data), data))
                sent += len(data)
            if whole:
                connection.send(b"0\r\n\r\n")
                return


def _most(start: Start) -> float:
    """Bytes that are enough; without the word's file the service must say when it has them."""
    frontend = _frontend(start.word)
    return math.inf if frontend is None else 2 * needed(frontend, start.start_index)


@functools.cache
def _frontend(word: str) -> FrontEnd | None:
    try:
        return load_word(_WORDS / f"{word}.toml").frontend if word.isidentifier() else None
    except WordError:
        return None


def _why(url: str, status: int, answer: Any) -> str:
    try:
        errors = [f"{e['field']}: {e['problem']}; {e['mend']}" for e in answer["errors"]]
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
