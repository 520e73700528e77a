# SPDX-License-Identifier: Apache-2.0
"""From a device's serial link, or the emulator's output, to what takes utterances.

`Gateway` takes bytes and calls a `Sink`; `Folder` is one, which keeps each utterance as a WAV file
and a JSON file; verify/gateway/posting.py has one that posts them while they come in.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wakestate.files import make_folder, plain, write_atomically
from wakestate.verify.protocol.frames import (
    LONGEST,
    Audio,
    End,
    FrameError,
    Kind,
    Reader,
    Reason,
    Start,
    parse,
)
from wakestate.verify.protocol.sensitivity import Sensitivity

UNANSWERED = 6  # ticks until a message
TIMEOUT_S = 60  # after it a device whose gateway is gone takes its own thresholds again
ALIVE_TICKS = 30  # between two commands that say so: 15 s
TRIES_MAX = 400  # commands that set the sensitivity, with those lost on the way
GAPS_MAX = 3000  # of an utterance; sound after more of them is ignored
FORMAT = "AUDIO_L16_RATE_16000_CHANNELS_1"
Report = Callable[[str], None]


@dataclass
class Utterance:
    """What came of one wake so far. `pcm` is whole: where samples are missing it holds zeros.

    `device`: which of several it came from.
    """

    start: Start
    device: str = ""
    end: End | None = None  # None: not yet, or its END did not come
    gaps: list[tuple[int, int]] = field(default_factory=list)  # first sample, samples
    _pcm: bytearray = field(default_factory=bytearray)

    @property
    def samples(self) -> int:
        return len(self._pcm) // 2

    @property
    def pcm(self) -> NDArray[np.int16]:
        """int16[samples] at `start.sample_rate`."""
        return np.frombuffer(self.raw(), "<i2").astype(np.int16)

    def raw(self, first: int = 0) -> bytes:
        """The samples from `first` on, little-endian."""
        return bytes(self._pcm[2 * first :])

    @property
    def ended(self) -> str:
        """Why: "stopped", "longest", "next wake", "input ended"; "lost" where no END came."""
        if self.end is None:
            return "lost"
        known = self.end.reason in set(Reason)
        return Reason(self.end.reason).name.lower().replace("_", " ") if known else "unknown"

    def facts(self) -> dict[str, Any]:
        """For JSON; `initiator` is named as in the Recognize event of AVS."""
        start, end = self.start, self.end
        return {
            **({"device": self.device} if self.device else {}),
            "word": start.word,
            "state": start.state,
            "probability": round(start.probability, 4),
            "format": FORMAT,
            "initiator": {
                "type": "WAKEWORD",
                "payload": {
                    "wakeWordIndices": {
                        "startIndexInSamples": start.start_index,
                        "endIndexInSamples": start.end_index,
                    }
                },
            },
            "wakeIndexInSamples": start.wake_index,
            "wakeSample": start.wake_sample,
            "utterance": start.utterance,
            "samples": self.samples,
            "gaps": self.gaps,
            "unsent": end.unsent if end else None,
            "missed": [start.missed, end.missed if end else None],
            "ended": self.ended,
        }

    def add(self, audio: Audio) -> None:
        """Put its samples where they belong; what is there already stays."""
        if audio.index < self.samples or audio.index + len(audio.pcm) > LONGEST:
            return
        if audio.index > self.samples and len(self.gaps) >= GAPS_MAX:
            return
        self.fill(audio.index)
        self._pcm += audio.pcm.astype("<i2").tobytes()

    def fill(self, samples: int) -> None:
        """Zeros up to `samples`, as a gap."""
        missing = samples - self.samples
        if missing <= 0:
            return
        if self.gaps and sum(self.gaps[-1]) == self.samples:
            self.gaps[-1] = (self.gaps[-1][0], self.gaps[-1][1] + missing)
        else:
            self.gaps.append((self.samples, missing))
        self._pcm += bytes(2 * missing)


class Sink(Protocol):
    """Takes utterances, one at a time: `begin`, `more` as its samples come, `end`."""

    def begin(self, utterance: Utterance) -> None: ...

    def more(self, utterance: Utterance) -> bool:
        """True when it is enough: the device gets a stop command."""
        ...

    def end(self, utterance: Utterance) -> None:
        """It is over: nothing more comes. `utterance.end` is None where the link was lost."""
        ...


class Gateway:
    """Bytes of one device in, calls of `sink` out; `reply` sends commands to the device.

    What the device sends is believed where it is as docs/protocol.md says. `device` names it, where
    there are several. `sensitivity` is set in it, and at the end its own again.
    """

    def __init__(
        self,
        sink: Sink,
        reply: Callable[[bytes], None] | None = None,
        report: Report = lambda text: None,
        device: str = "",
        sensitivity: Sensitivity | None = None,
    ) -> None:
        self.reader = Reader()
        self.utterances = 0
        self._sink, self._reply, self._report, self._device = sink, reply, report, device
        self._now: Utterance | None = None
        self._enough = False
        self._on = False
        self._asked = 0
        self._sensitivity, self._missing, self._tries = sensitivity, "", 0
        self._alive = 0  # ticks until the next

    def open(self) -> None:
        """Switch the device's uplink on."""
        self._on = False
        self._tries = self._alive = 0
        self._on_sensitivity(None)
        self._send("uplink on")

    def close(self) -> None:
        """What has not ended ends; the uplink goes off."""
        self._finish(None)
        if self._sensitivity is not None:
            self._send(f"sensitivity 0 {self._sensitivity.word}")
        self._send("uplink off")

    def lost(self) -> None:
        """The device is gone: what has not ended ends. `open` when it is there again."""
        self.reader.clear()
        self._finish(None)

    def tick(self) -> None:
        """Twice a second: say again what the device may not have understood."""
        if self._sensitivity is not None and self._on:
            if self._alive == 0:
                self._alive = ALIVE_TICKS
                self._send(f"timeout {TIMEOUT_S}")
                return
            self._alive -= 1
        if self._now is not None and self._enough:
            self._send(f"stop {self._now.start.utterance}")
        elif not self._on:
            self._asked += 1
            if self._asked == UNANSWERED and self._reply is not None:
                self._report("no answer yet: is it a Wakestate device, and is this its baud rate?")
            self._send("uplink on")
        else:
            self._set()

    def feed(self, data: bytes) -> None:
        """Take what came, in pieces of any size."""
        for item in self.reader.feed(data):
            if isinstance(item, str):
                self._line(item)
                continue
            try:
                message = parse(item)
            except FrameError as error:
                self._report(f"frame {item.number}: {error}")
                if item.kind == Kind.START:
                    self._finish(None)  # what follows is not of the message before
                continue
            if isinstance(message, Start):
                self._finish(None)  # its END was lost
                self._now, self._enough, self._on = Utterance(message, self._device), False, True
                self._sink.begin(self._now)
            elif isinstance(message, Audio):
                self._audio(message)
            elif isinstance(message, End):
                self._finish(message)

    def _line(self, line: str) -> None:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            event = None
        kind = event.get("type") if isinstance(event, dict) else None
        if kind != "timeout":  # it comes all the time
            self._report(line)
        if kind == "uplink":
            self._on = event.get("on") is True
            self._set()
        elif kind == "word" and self._sensitivity and event.get("word") == self._sensitivity.word:
            self._on_sensitivity(event.get("sensitivity"))
            self._set()
        elif kind == "ready":  # the device has restarted
            self._finish(None)
            self.open()

    def _on_sensitivity(self, sensitivity: Any) -> None:
        """The sensitivity that the device reports; None: nothing yet."""
        self._missing = (
            self._sensitivity.missing(sensitivity) if self._sensitivity else None
        ) or ""

    def _set(self) -> None:
        """The next command of those that set the sensitivity; one at a time."""
        if not self._missing or self._tries > TRIES_MAX or self._reply is None:
            return
        self._tries += 1
        if self._tries > TRIES_MAX:
            self._report(
                f"the device does not take sensitivity {self._missing}; is it built of the "
                "word and model that the verifier was made for?"
            )
        else:
            self._send(f"sensitivity {self._missing}")

    def _audio(self, audio: Audio) -> None:
        now = self._now
        if now is None or audio.utterance != now.start.utterance:
            return  # its START was lost: nobody knows what it is
        now.add(audio)
        if not self._enough and self._sink.more(now):
            self._enough = True
            self.tick()

    def _finish(self, end: End | None) -> None:
        now = self._now
        if now is None or (end is not None and end.utterance != now.start.utterance):
            return
        if end is not None:
            now.end = end
            now.fill(min(end.samples, LONGEST))
        self._now = None
        self.utterances += 1
        self._sink.end(now)

    def _send(self, command: str) -> None:
        if self._reply is not None:
            self._reply(command.encode() + b"\n")


class Folder:
    """Keeps utterances as NUMBER-WORD.wav, with NUMBER-WORD.json, written last.

    `follow_s`: seconds after the word's end that are enough; None: what the device sends. An
    utterance without sound is not kept. FileError where the folder cannot be written to.
    """

    def __init__(
        self, out: Path, follow_s: float | None, report: Report = lambda text: None
    ) -> None:
        self._out, self._follow_s, self._report = out, follow_s, report
        make_folder(out)
        taken = [int(p.name[:5]) for p in out.glob("*.*") if p.name[:5].isdecimal()]
        self._next = max(taken, default=0) + 1

    def begin(self, utterance: Utterance) -> None:
        pass

    def more(self, utterance: Utterance) -> bool:
        if self._follow_s is None:
            return False
        follow = round(self._follow_s * utterance.start.sample_rate)
        return utterance.samples >= utterance.start.end_index + follow

    def end(self, utterance: Utterance) -> None:
        word = utterance.start.word
        if not utterance.samples:
            self._report(f"{plain(self._out)}: {word}: no sound came of it: not kept")
            return
        path = self._out / f"{self._next:05}-{word}.wav"
        self._next += 1
        made = io.BytesIO()
        with wave.open(made, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(utterance.start.sample_rate)
            file.writeframes(utterance.raw())
        write_atomically(path, made.getvalue())
        facts = {**utterance.facts(), "audio": path.name}
        write_atomically(path.with_suffix(".json"), json.dumps(facts, indent=2) + "\n")
        missing = sum(count for _, count in utterance.gaps)
        seconds = utterance.samples / utterance.start.sample_rate
        text = f"{path}: {seconds:.3f} s, {utterance.ended}"
        self._report(text + (f", {missing} samples missing" if missing else ""))
