# SPDX-License-Identifier: Apache-2.0
"""`make emulate AUDIO=` and `wakestate emulate`: any recording, whatever it is called."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from tests.support.emulator import check_names
from tests.support.firmware_build import ROOT, build
from tests.support.wav import SPEECH, riff, wav
from tests.support.wav import chunk as chunk_of
from tests.support.wav import fmt as fmt_of
from wakestate.boards.sound import SoundError, is_plain, plain_wav

PCM = np.frombuffer(SPEECH, "<i2")
TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.int16)


def samples_of(path: Path) -> NDArray[np.int16]:
    """The samples that the emulator gets."""
    with plain_wav(str(path)) as plain:
        assert is_plain(plain)
        pcm, rate = soundfile.read(plain, dtype="int16")
    assert rate == 16000 and (plain == str(path) or not Path(plain).exists())
    return pcm


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("ending", "subtype"),
    [
        ("wav", "PCM_24"),
        ("wav", "PCM_32"),
        ("wav", "FLOAT"),
        ("flac", "PCM_16"),
        ("aiff", "PCM_16"),
        ("wav", "PCM_16"),
        ("rf64", "PCM_16"),
        ("caf", "PCM_16"),
    ],
)
def test_samples_keep_their_bits(tmp_path: Path, ending: str, subtype: str, channels: int) -> None:
    path = tmp_path / f"x.{ending}"
    data = np.repeat(PCM[:, None] / 32768, channels, axis=1)
    soundfile.write(path, data, 16000, subtype=subtype)
    assert np.array_equal(samples_of(path), PCM)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.stack([PCM * 0, PCM // 2 * 2], axis=1), 16000)
    assert np.array_equal(samples_of(tmp_path / "x.wav"), PCM // 2)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_other_rates_are_resampled_band_limited(tmp_path: Path, rate: int) -> None:
    """A tone stays as it is, its images and what is above half the rate are 60 dB below."""
    t = np.arange(rate) / rate
    sound = 0.25 * np.sin(2 * np.pi * 440 * t)
    if rate > 16000:
        sound += 0.25 * np.sin(2 * np.pi * 9000 * t)
    soundfile.write(tmp_path / "x.wav", sound, rate, subtype="PCM_24")
    pcm = samples_of(tmp_path / "x.wav")
    assert len(pcm) == 16000
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(16000))) / 16000
    assert spectrum.argmax() == 440 and abs(spectrum[440] * 4 / 32768 - 0.25) < 0.001
    spectrum[436:445] = 0
    assert spectrum.max() < 1e-3 * 8192 / 4


def test_compressed_sound(tmp_path: Path) -> None:
    for ending, subtype in (("mp3", "MPEG_LAYER_III"), ("ogg", "VORBIS")):
        soundfile.write(tmp_path / f"x.{ending}", TONE, 16000, subtype=subtype)
        spectrum = np.abs(np.fft.rfft(samples_of(tmp_path / f"x.{ending}")[:16000]))
        assert abs(int(spectrum.argmax()) - 440) <= 1


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_ffmpeg_reads_what_libsndfile_does_not(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(TONE.tobytes()))
    name = tmp_path / "a 100% 'x'.m4a"
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "x.wav", name], check=True)
    spectrum = np.abs(np.fft.rfft(samples_of(name)[:16000]))
    assert abs(int(spectrum.argmax()) - 440) <= 1


def floats(*values: float) -> bytes:
    data = struct.pack(f"<{len(values)}f", *values)
    return riff(chunk_of(b"fmt ", fmt_of(bits=32, tag=3)), chunk_of(b"data", data))


WHOLE = floats(*[0.25] * 1000)
BAD = {
    "text": (b"this is no sound at all", "cannot be decoded"),
    "empty": (b"", "cannot be decoded"),
    "no samples": (floats(), "empty: it holds no samples"),
    "truncated": (WHOLE[:-400], "truncated: its header promises 4000 bytes, it holds 3600"),
    "integers as floats": (floats(0, -25599, 0), "up to 25599; floats are in -1 to 1"),
    "rate": (
        riff(chunk_of(b"fmt ", fmt_of(rate=7)), chunk_of(b"data", bytes(99))),
        "7 Hz; allowed",
    ),
    "no number": (floats(0, float("nan")), "samples that are no numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_decoded_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    data, problem = BAD[case]
    (tmp_path / "x.wav").write_bytes(data)
    with pytest.raises(SoundError, match=problem), plain_wav(str(tmp_path / "x.wav")):
        pass
    assert not list((tmp_path / "temporary").iterdir())


def test_a_missing_file_and_a_folder_are_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "none.flac", tmp_path):
        with pytest.raises(SoundError, match="cannot be opened"), plain_wav(str(path)):
            pass


def test_streams_are_left_to_the_emulator(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert is_plain("-") and is_plain(str(tmp_path / "pipe")) and not is_plain(str(tmp_path))


def test_events_name_the_recording(tmp_path: Path) -> None:
    program = build("scripted", "host", program="emulator").program("emulator")
    call = [sys.executable, "-m", "wakestate", "emulate", "--state", "volume=high"]
    call += ["--program", str(program), "--"]
    for name in ('it is a "word", said.flac', "it's.wav", "-x.flac", "-x.wav", "a%s.aiff"):
        soundfile.write(tmp_path / name, PCM, 16000)
        for path in (Path(name), tmp_path / name):
            check_names(call, path, tmp_path)
    done = subprocess.run([*call, tmp_path / "a\nb"], capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"a\\nb" in done.stderr


@pytest.mark.parametrize(
    "name", ["a b", "it's", "$HOME$$", "$(shell touch made)", "`touch made`", "x'; touch made; '"]
)
def test_make_hands_on_any_name(tmp_path: Path, name: str) -> None:
    """Neither make nor the shell reads anything into it."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT}/Makefile\n")
    call = [
        "make",
        "-s",
        "-C",
        str(tmp_path),
        "PYTHON=echo",
        "BOARD_SETUP=",
        "emulate",
        f"AUDIO={name}",
    ]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].endswith(f" emulate --word alexa -- {name}")
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
