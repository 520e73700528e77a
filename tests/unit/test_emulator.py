"""The emulator's command line: events, states, bad input; and that a board prints the same."""

from __future__ import annotations

import itertools
import json
import os
import pty
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.firmware_build import ROOT, Build, build, events
from tests.support.wav import LOUD, QUIET, SPEECH, chunk, extensible, fmt, pcm, riff, wav
from wakestate.verify.protocol.frames import Audio, Frame, Reader, parse

STATES = "player=idle|music,volume=low|high"


@pytest.fixture(scope="module")
def host() -> Build:
    return build("scripted", "host", sanitize=True)


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    path.write_bytes(wav(SPEECH))
    return path


def wakes(done: subprocess.CompletedProcess[bytes]) -> list[float]:
    return [event["t"] for event in events(done) if event["type"] == "wake"]


def test_wakes_with_time_probability_and_state(host: Build, speech: Path) -> None:
    done = host.run("emulator", speech)
    # Steps end at 0.045 + 0.03 n; three steps of the loud level are needed to reach 150.
    assert done.stdout.decode().splitlines()[0] == (
        f'{{"type":"wake","file":"{speech}","t":1.065,"start":0.236,"end":0.935,"p":0.9770,'
        '"state":"player=idle,volume=low"}'
    )
    assert wakes(done) == [1.065, 2.565]


def test_scores_come_for_every_step_and_before_their_wake(host: Build, speech: Path) -> None:
    found = events(host.run("emulator", "--scores", speech))
    scores = [event for event in found if event["type"] == "score"]
    assert [e["t"] for e in scores] == [round(0.045 + 0.03 * i, 3) for i in range(len(scores))]
    assert len(scores) == 1 + (len(SPEECH) // 2 - 720) // 480
    assert all(set(event) == {"type", "t", "p"} for event in scores)
    for before, event in itertools.pairwise(found):
        if event["type"] == "wake":
            assert (before["type"], before["t"], before["p"]) == ("score", event["t"], event["p"])


def test_refractory_second(host: Build, tmp_path: Path) -> None:
    (tmp_path / "long.wav").write_bytes(wav(pcm((0.5, QUIET), (3.5, LOUD))))
    found = wakes(host.run("emulator", tmp_path / "long.wav"))
    assert found[0] < 0.6
    gaps = np.diff(found)
    assert np.all(gaps >= 1.0) and np.all(gaps < 1.0 + 0.03 + 1e-9)


def test_threshold_is_the_states(host: Build, speech: Path) -> None:
    """Music wants a sum of 300: only the louder burst reaches it."""
    assert wakes(host.run("emulator", "--state", "player=music", speech)) == [2.565]
    given = events(host.run("emulator", "--state", "player=music", speech))
    assert given[0]["state"] == "player=music,volume=low"


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ("player=music,volume=high", "player=music,volume=high"),
        ("volume=high,player=music", "player=music,volume=high"),
        ("volume=high", "player=idle,volume=high"),
        ("player=idle", "player=idle,volume=low"),
    ],
)
def test_states_may_be_partial(host: Build, speech: Path, given: str, state: str) -> None:
    assert {event["state"] for event in events(host.run("emulator", "--state", given, speech))} == {
        state
    }


def test_change_of_state_inside_a_file(host: Build, speech: Path) -> None:
    done = host.run("emulator", "--change", "0.5:player=music", "--change", "2:volume=high", speech)
    assert [(e["type"], e["t"], e["state"]) for e in events(done)] == [
        ("state", 0.5, "player=music,volume=low"),
        ("state", 2.0, "player=idle,volume=high"),
        ("wake", 2.565, "player=idle,volume=high"),
    ]


def test_each_file_starts_anew(host: Build, speech: Path) -> None:
    done = host.run("emulator", speech, speech)
    assert wakes(done) == [1.065, 2.565, 1.065, 2.565]


def test_stdin_takes_raw_and_wav(host: Build, speech: Path) -> None:
    times = wakes(host.run("emulator", speech))
    assert wakes(host.run("emulator", "-", stdin=SPEECH)) == times
    assert wakes(host.run("emulator", "-", stdin=wav(SPEECH))) == times
    assert events(host.run("emulator", "-", stdin=SPEECH))[0]["file"] == "-"
    assert wakes(host.run("emulator", "-", stdin=SPEECH[:10])) == []


def test_a_live_stream_is_answered_at_once(host: Build) -> None:
    """Odd pieces through a pipe, and the wake comes before the stream has ended."""
    command = [str(host.program("emulator")), "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        for start in range(0, len(SPEECH) // 2, 997):
            process.stdin.write(SPEECH[start : start + 997])
            process.stdin.flush()
        assert json.loads(process.stdout.readline())["t"] == 1.065
        process.stdin.close()


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


def sized(size: int, data: bytes = SPEECH, after: bytes = b"") -> bytes:
    """A WAV whose header says that its data are `size` bytes."""
    return riff(chunk(b"fmt ", fmt())) + b"data" + struct.pack("<I", size) + data + after


def wide(size: int, ds64: bool = True) -> bytes:
    """RF64, the data's size in the ds64 chunk."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, size, 0, 0)) if ds64 else b""
    head = b"RF64\xff\xff\xff\xffWAVE" + sizes
    return head + chunk(b"fmt ", fmt()) + b"data\xff\xff\xff\xff" + SPEECH


LIST = chunk(b"LIST", b"INFOISFT\x05\0\0\0sox 1\0")
#: Of these all SPEECH is heard and nothing else, from a file as from a pipe.
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
def test_all_sound_is_heard_whatever_the_header_knows(
    host: Build, speech: Path, tmp_path: Path, case: str
) -> None:
    (tmp_path / "x.wav").write_bytes(WHOLE[case])
    want = host.run("emulator", "--scores", "--name", "x", speech)
    for have in (
        host.run("emulator", "--scores", "--name", "x", tmp_path / "x.wav"),
        host.run("emulator", "--scores", "--name", "x", "-", stdin=WHOLE[case]),
    ):
        assert events(have) == events(want)


def test_no_sound_at_all_is_said_of_a_stream_too(host: Build) -> None:
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
def test_other_formats_on_stdin_are_not_heard_as_noise(host: Build, first: bytes) -> None:
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


def test_a_word_at_the_very_end_wakes(tmp_path: Path) -> None:
    """Half a second of silence is heard after the end; scores end where the sound does."""
    sample = (ROOT / "models/alexa/sample.wav").read_bytes()
    whole = np.frombuffer(sample[sample.index(b"data") + 8 :], "<i2")
    alexa = build("alexa", "host", program="emulator")
    for cut in (27_840, 28_160, 28_879):  # the word ends at 1.735 s, the wake comes at 1.805 s
        path, frames = tmp_path / "x.wav", tmp_path / "frames"
        path.write_bytes(wav(whole[:cut].tobytes()))
        found = events(alexa.run("emulator", "--scores", "--uplink", frames, path))
        wake = found[-1]
        assert (wake["type"], wake["t"]) == ("wake", 1.805)
        assert abs(wake["end"] - 1.735) < 0.03
        assert len(found) == 2 + (cut - 560) // 480
        reader = Reader()
        sent = [parse(f) for f in reader.feed(frames.read_bytes()) if isinstance(f, Frame)]
        sound = np.concatenate([part.pcm for part in sent if isinstance(part, Audio)])
        silent = 28_880 - cut
        assert not sound[-silent:].any() and len(sound) > 16_000
        assert np.array_equal(sound[:-silent], whole[cut - len(sound) + silent : cut])


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


def test_other_files_are_still_heard(host: Build, speech: Path, tmp_path: Path) -> None:
    done = host.run("emulator", tmp_path / "missing.wav", speech)
    assert done.returncode == 1
    assert b"missing.wav: cannot be opened" in done.stderr
    assert len(done.stdout.splitlines()) == 2


USAGE = [
    ([], b"no file given"),
    (["--state", "player=loud", "x"], f"'player=loud'; allowed: {STATES}".encode()),
    (["--state", "mood=good", "x"], f"'mood=good'; allowed: {STATES}".encode()),
    (["--state", "", "x"], f"allowed: {STATES}".encode()),
    (["--state", "player=music,player=idle", "x"], f"allowed: {STATES}".encode()),
    (["--state"], b"--state: needs a value"),
    (["--verbose", "x"], b"--verbose: unknown option; allowed: --state"),
    (["x", "--scores"], b"--scores: options come before the files"),
    (["--change", "x:player=music", "x"], b"SECONDS:STATE"),
    (["--change", "1.23456:player=music", "x"], b"SECONDS:STATE"),
    (["--change", "1:player=loud", "x"], f"allowed: {STATES}".encode()),
    (["--name", "x", "x", "y"], b"--name: names one file"),
    (["--change", "2:volume=low", "--change", "1:volume=low", "x"], b"in the order of time"),
]


@pytest.mark.parametrize(("arguments", "problem"), USAGE)
def test_bad_usage_gets_one_clear_line(host: Build, arguments: list[str], problem: bytes) -> None:
    done = host.run("emulator", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert problem in done.stderr
    assert done.stderr.startswith(b"wake-emulator: ") and done.stderr.count(b"\n") == 1


def test_help(host: Build) -> None:
    done = host.run("emulator", "--help")
    assert done.returncode == 0 and done.stdout.startswith(b"usage: wake-emulator")
    assert f"Word: scripted. States: {STATES}\n".encode() in done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b'quo"te\\.wav', 'quo"te\\.wav'),
        ("Grüße 日本 🎤.wav".encode(), "Grüße 日本 🎤.wav"),
        (b"new\nline\ttab\x7f.wav", "new\nline\ttab\x7f.wav"),
        (b"bad\xff\xc3utf8\xed\xa0\x80.wav", "bad\ufffd\ufffdutf8\ufffd\ufffd\ufffd.wav"),
        (b"a, b,c.wav", "a, b,c.wav"),
    ],
)
def test_json_whatever_the_file_is_called(
    host: Build, tmp_path: Path, name: bytes, shown: str
) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(wav(SPEECH))
    done = subprocess.run([host.program("emulator"), path], capture_output=True, check=False)
    assert [event["file"] for event in events(done)] == [f"{tmp_path}/{shown}"] * 2
    missing = subprocess.run(
        [host.program("emulator"), path + b"x"], capture_output=True, check=False
    )
    assert missing.stderr.count(b"\n") == 1
    missing.stderr.decode("utf-8")


def test_a_terminal_gets_a_table(host: Build, speech: Path) -> None:
    table = host.run("emulator", "--table", speech).stdout.decode().splitlines()
    assert table[0].split() == ["seconds", "event", "start", "end", "p", "state", "file"]
    assert table[1].split()[:4] == ["1.065", "wake", "0.236", "0.935"] and len(table) == 3
    leader, follower = pty.openpty()
    subprocess.run([host.program("emulator"), speech], stdout=follower, check=True)
    os.close(follower)
    shown = os.read(leader, 10000).decode().replace("\r\n", "\n")
    os.close(leader)
    assert shown.splitlines() == table


def test_full_disk_is_reported(host: Build, speech: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [host.program("emulator"), speech], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1 and b"cannot write to stdout" in done.stderr


@pytest.mark.parametrize(
    ("cflags", "problem"),
    [
        ("-DSCRIPTED_SCHEMA=1", b"another version of this firmware"),
        ("-DSCRIPTED_HASH=1", b"trained with another front end"),
    ],
)
@pytest.mark.parametrize("board", ["host", "mps2-an386"])
def test_a_model_that_does_not_fit_is_refused(
    speech: Path, cflags: str, problem: bytes, board: str
) -> None:
    made = build("scripted", board, cflags=cflags, program="emulator")
    done = made.run("emulator", speech)
    assert (done.returncode, done.stdout) == (1, b"")
    assert problem in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386"])
def test_a_board_prints_what_the_host_prints(host: Build, tmp_path: Path, board: str) -> None:
    """Every byte on stdout and stderr, and the status; paths with spaces and commas, too."""
    device = build("scripted", board)
    folder = tmp_path / "a folder, with comma"
    folder.mkdir()
    good, cut, none = folder / "good, one.wav", folder / "cut.wav", folder / "none.wav"
    good.write_bytes(wav(SPEECH))
    cut.write_bytes(wav(SPEECH)[:-1000])
    runs: list[tuple[list[str | Path], bytes]] = [
        (["--scores", good], b""),
        (["--scores", "--state", "player=music,volume=high", good, good], b""),
        (["--table", "--change", "1:volume=high", good], b""),
        (["-"], SPEECH),
        (["-"], SPEECH + b"x"),
        (["-"], wav(SPEECH)[:-999]),
        ([good, cut, none, folder], b""),
        (["-"], sized(0xFFFFFFFF)),
        (["--name", "a name, b", good], b""),
        (["--help"], b""),
    ]
    for usage, _ in USAGE:
        if "" not in usage:  # an empty argument cannot be told from none
            runs.append(([*usage], b""))
    for arguments, stdin in runs:
        want = host.run("emulator", *arguments, stdin=stdin)
        have = device.run("emulator", *arguments, stdin=stdin)
        assert (have.stdout, have.stderr, have.returncode) == (
            want.stdout,
            want.stderr,
            want.returncode,
        ), arguments


@pytest.mark.parametrize("board", ["mps2-an385", "mps2-an386"])
def test_the_toy_models_scores_are_equal_on_boards(tmp_path: Path, board: str) -> None:
    random = np.random.default_rng(3)
    sound = random.normal(0, 1, 48000) * np.repeat(random.uniform(0, 9000, 30), 1600)
    path = tmp_path / "noise.wav"
    path.write_bytes(wav(np.clip(sound, -32768, 32767).astype("<i2").tobytes()))
    for state in ("player=idle", "player=music"):
        want = build("toy", "host", sanitize=True).run(
            "emulator", "--scores", "--state", state, path
        )
        have = build("toy", board).run("emulator", "--scores", "--state", state, path)
        assert len(events(want)) > 100
        assert have.stdout == want.stdout
