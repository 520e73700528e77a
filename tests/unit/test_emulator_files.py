# SPDX-License-Identifier: Apache-2.0
"""The emulator's files and streams: whatever a header knows, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.support.emulator import events, wakes
from tests.support.firmware_build import Build
from tests.support.wav import (
    LIST,
    SPEECH,
    chunk,
    extensible,
    fmt,
    pcm,
    riff,
    sized,
    wav,
    wide,
)


@pytest.mark.parametrize(
    "data",
    [
        riff(chunk(b"LIST", b"odd"), chunk(b"fmt ", fmt()), chunk(b"data", SPEECH)),
        riff(chunk(b"fmt ", fmt() + b"\0\0"), chunk(b"fact", b"1234"), chunk(b"data", SPEECH)),
        riff(chunk(b"fmt ", extensible(1)), chunk(b"data", SPEECH)),
        riff(chunk(b"fmt ", fmt()), chunk(b"data", SPEECH), chunk(b"LIST", b"after")),
        riff(chunk(b"big ", bytes(50001)), chunk(b"fmt ", fmt()), chunk(b"data", SPEECH)),
    ],
    ids=["odd chunk", "longer fmt", "extensible", "chunk after", "big chunk"],
)
def test_good_wavs(host: Build, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(data)
    for done in (host.run("emulator", tmp_path / "x.wav"), host.run("emulator", "-", stdin=data)):
        assert wakes(done) == [1.065, 2.565]


#: Of these all SPEECH is processed and nothing else, from a file as from a pipe.
WHOLE = {
    "0": sized(0),
    "0xFFFFFFFF": sized(0xFFFFFFFF),
    "0x7FFFF000": sized(0x7FFFF000),
    "0x80000000": sized(0x80000000),
    "0x7FFFFFDB": sized(0x7FFFFFDB),
    "more than promised": sized(16000),
    "as promised, chunks after": sized(len(SPEECH), after=LIST + chunk(b"id3 ", b"odd")),
    "two data chunks": sized(
        16000, SPEECH[:16000], LIST + b"data" + struct.pack("<I", len(SPEECH) - 16000)
    )
    + SPEECH[16000:],
    "RF64": wide(len(SPEECH)),
    "RF64 of no size": wide(0),
    "RF64 without ds64": wide(0, ds64=False),
}


@pytest.mark.parametrize("case", WHOLE)
def test_all_sound_is_processed_whatever_the_header_knows(
    host: Build, speech: Path, tmp_path: Path, case: str
) -> None:
    (tmp_path / "x.wav").write_bytes(WHOLE[case])
    want = host.run("emulator", "--scores", "--name", "x", speech)
    for have in (
        host.run("emulator", "--scores", "--name", "x", tmp_path / "x.wav"),
        host.run("emulator", "--scores", "--name", "x", "-", stdin=WHOLE[case]),
    ):
        assert events(have) == events(want)


def test_no_sound_at_all_is_reported_of_a_stream_too(host: Build) -> None:
    for data in (sized(0, b""), sized(0, b"", LIST), sized(0xFFFFFFFF, b"")):
        done = host.run("emulator", "-", stdin=data)
        assert done.returncode == 1 and b"-: empty" in done.stderr


#: The first bytes of what is not raw sound, and what it is called.
NOT_RAW = {
    b"fLaC\0\0\0\x22": b"FLAC",
    b"OggS\0\2\0\0": b"Ogg",
    b"ID3\4\0\0\0": b"MP3",
    b"\xff\xfb\x90\xc4" + bytes(413) + b"\xff\xfb\x92\xc4": b"MP3",
    b"\xff\xf3\x48\xc4" + bytes(140) + b"\xff\xf3\x48\xc4": b"MP3",
    b"\xff\xf1\x60\x40" + bytes(200) + b"\xff\xf1\x60\x40": b"AAC",
    b"\x0b\x77\x12\x34" + bytes(764) + b"\x0b\x77\x56\x78": b"AC-3",
    b"\x47\x40\0\x10".ljust(188, b"\0") * 4: b"MPEG-TS",
    b"\0\0\0\x20ftypM4A ": b"MP4",
    b"FORM\0\0\1\0AIFF": b"AIFF",
    b".snd\0\0\0\x18": b"AU",
    b"caff\0\1\0\0": b"CAF",
    b"#!AMR\n\x3c\x91": b"AMR",
    b"\x1a\x45\xdf\xa3\x9f": b"WebM",
    b"riff\x2e\x91\xcf\x11": b"Wave64",
    b"\x1f\x8b\x08\0\0": b"a gzip archive",
    b"<!DOCTYPE html>\n<html>": b"text",
}


@pytest.mark.parametrize("first", NOT_RAW, ids=lambda first: NOT_RAW[first].decode())
def test_other_formats_on_stdin_are_not_read_as_noise(host: Build, first: bytes) -> None:
    done = host.run("emulator", "--scores", "-", stdin=first + SPEECH)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"wake-emulator: -: " + NOT_RAW[first])
    assert NEEDED in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "first", [(-1, -1), (-1025, 3728), (-1, 0), (0x770B, 1), (0x4747, 0), (-3585, 0x4060), (0, 0)]
)
def test_raw_sound_that_begins_like_a_frame_is_raw_sound(
    host: Build, first: tuple[int, int]
) -> None:
    done = host.run("emulator", "-", stdin=struct.pack("<2h", *first) + SPEECH)
    assert wakes(done) == [1.065, 2.565]


NEEDED = b"; 16000 Hz mono 16-bit PCM is needed: `make emulate AUDIO=FILE` decodes it"


def described(rate: int, channels: int, bits: int, name: str) -> bytes:
    channel = "channel" if channels == 1 else "channels"
    text = f"{rate} Hz, {channels} {channel}, {bits} bits a sample, {name}"
    return text.encode() + NEEDED


BAD = {
    "empty file": (b"", b"empty"),
    "text": (b"this is no sound at all", b"text, not a WAV" + NEEDED),
    "44.1 kHz": (
        riff(chunk(b"fmt ", fmt(rate=44100)), chunk(b"data", SPEECH)),
        described(44100, 1, 16, "PCM (WAVE format 1)"),
    ),
    "stereo": (
        riff(chunk(b"fmt ", fmt(channels=2)), chunk(b"data", SPEECH)),
        described(16000, 2, 16, "PCM (WAVE format 1)"),
    ),
    "8 bit": (
        riff(chunk(b"fmt ", fmt(bits=8)), chunk(b"data", SPEECH)),
        described(16000, 1, 8, "PCM (WAVE format 1)"),
    ),
    "24 bit, extensible": (
        riff(chunk(b"fmt ", extensible(1, bits=24)), chunk(b"data", SPEECH)),
        described(16000, 1, 24, "PCM (WAVE format 1)"),
    ),
    "float": (
        riff(chunk(b"fmt ", fmt(bits=32, tag=3)), chunk(b"data", b"")),
        described(16000, 1, 32, "floating point (WAVE format 3)"),
    ),
    "float, extensible": (
        riff(chunk(b"fmt ", extensible(3))),
        described(16000, 1, 16, "floating point (WAVE format 3)"),
    ),
    "A-law": (
        riff(chunk(b"fmt ", fmt(rate=8000, bits=8, tag=6))),
        described(8000, 1, 8, "A-law (WAVE format 6)"),
    ),
    "big-endian": (b"RIFX" + wav(SPEECH)[4:], b"a big-endian WAV (RIFX), not a WAV" + NEEDED),
    "AVI": (wav(SPEECH)[:8] + b"AVI " + bytes(99), b"a RIFF file of another kind"),
    "truncated": (wav(SPEECH)[:-1000], b"truncated: the data chunk promises "),
    "no samples": (wav(b""), b"empty: the data chunk holds no samples"),
    "half a sample": (riff(chunk(b"fmt ", fmt()), chunk(b"data", b"abc")), b"within a sample"),
    "no data": (riff(chunk(b"fmt ", fmt())), b"without a data chunk"),
    "no fmt": (riff(chunk(b"data", SPEECH)), b"without a fmt chunk"),
    "short fmt": (riff(chunk(b"fmt ", fmt()[:12]), chunk(b"data", SPEECH)), b"damaged fmt"),
    "cut in fmt": (wav(SPEECH)[:25], b"damaged fmt chunk"),
    "cut in header": (wav(SPEECH)[:14], b"without a data chunk"),
    "endless chunk": (riff(b"LIST\xff\xff\xff\xff"), b"damaged chunk"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_get_one_clear_line(host: Build, tmp_path: Path, case: str) -> None:
    data, problem = BAD[case]
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    done = host.run("emulator", "--scores", path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"wake-emulator: {path}: ".encode())
    assert problem in done.stderr
    assert done.stderr.count(b"\n") == 1 and done.stderr.endswith(b"\n")


def test_every_cut_of_a_wav_is_refused(host: Build, tmp_path: Path) -> None:
    data = wav(pcm((0.01, 5)))
    paths = []
    for length in range(len(data)):
        paths.append(tmp_path / f"{length}.wav")
        paths[-1].write_bytes(data[:length])
    done = host.run("emulator", "--scores", *paths)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == len(data)


def test_streams_cut_off(host: Build) -> None:
    """What is missing at the end of a pipe shows only there."""
    done = host.run("emulator", "-", stdin=wav(SPEECH)[:-1000])
    assert done.returncode == 1 and b"truncated" in done.stderr
    done = host.run("emulator", "-", stdin=SPEECH + b"x")
    assert done.returncode == 1 and b"within a sample" in done.stderr
    done = host.run("emulator", "-")
    assert done.returncode == 1 and b"-: empty" in done.stderr
