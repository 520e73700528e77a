# SPDX-License-Identifier: Apache-2.0
"""`make flash`, `monitor`, `debug`: emulated boards for real, real ones up to the missing board.

The emulated ones are loaded through QEMU's gdb port, as a real one through its probe's.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import socket
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from tests.support.examples import typed_example
from tests.support.firmware_build import EMULATED, REAL, ROOT, build
from tests.support.wav import wav
from wakestate.__main__ import main
from wakestate.boards import flash, gdb, serial
from wakestate.boards.elf import Segment, segments
from wakestate.boards.new import new_board
from wakestate.boards.schema import BoardError, board_names, load_board

SAMPLE = ROOT / "models/alexa/sample.wav"
#: As typed by a person, also where `make test` runs this.
ALONE = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


def boards(*arguments: str, timeout_s: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wakestate", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("board", EMULATED)
def test_an_emulated_board_is_flashed_by_its_gdb_port(board: str) -> None:
    elf = build("alexa", board).program("device")
    done = boards("flash", "--board", board, "--elf", str(elf), str(SAMPLE))
    assert (done.returncode, done.stderr) == (0, "")
    size = sum(len(part.data) for part in segments(elf))
    assert done.stdout.startswith(
        f"{board}: {size} bytes by QEMU's gdb port, read back equal, started: "
        f'{{"type":"ready","board":"{board}"'
    )


def test_the_monitor_shows_the_serial_port(tmp_path: Path) -> None:
    elf = build("alexa", "mps2-an386").program("device")
    sample = tmp_path / "sample.wav"  # up to the first wake: it is played in real time
    sample.write_bytes(wav(SAMPLE.read_bytes()[44:][: 3 * 32000]))
    done = boards("monitor", "--board", "mps2-an386", "--elf", str(elf), str(sample))
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (0, "")
    assert [event["type"] for event in events] == ["ready", "wake"]


@pytest.mark.skipif(shutil.which("gdb-multiarch") is None, reason="gdb-multiarch is not installed")
def test_gdb_stops_at_the_reset_with_the_program_loaded(tmp_path: Path) -> None:
    elf = build("alexa", "mps2-an386").program("device")
    (tmp_path / "gdb-multiarch").write_text(
        '#!/bin/sh\nexec /usr/bin/gdb-multiarch -batch "$@" '
        '-ex "tbreak ws_board_main" -ex continue\n'
    )
    (tmp_path / "gdb-multiarch").chmod(0o755)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "wakestate",
            *typed_example("debug", {}),
            "--elf",
            str(elf),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert "Loading section .text" in done.stdout
    assert "Temporary breakpoint 1, ws_board_main ()" in done.stdout


def one_line(verb: str, board: str) -> str:
    """What `make VERB BOARD=` prints: one line, on stderr, and it fails."""
    done = subprocess.run(
        ["make", "--no-print-directory", verb, f"BOARD={board}"],
        cwd=ROOT,
        env=ALONE,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]
    assert done.returncode != 0 and done.stdout == "" and len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("board", REAL)
def test_without_a_board_one_line_reports_what_to_plug_in(board: str) -> None:
    """Through `make`, and before anything is built. Three seconds are the promise."""
    facts = load_board(board).flash
    assert facts is not None
    if flash.attached(facts, flash.USB):
        pytest.skip(f"a {board} is plugged in here")
    line = one_line("flash", board)
    assert line.startswith(f"{board}: not found: plug in {facts.plug}")
    assert "wakestate board udev | sudo tee" in line


@pytest.mark.parametrize("board", REAL)
def test_without_a_serial_port_one_line_reports_where_it_is(board: str) -> None:
    if list(Path("/dev").glob("ttyACM*")) + list(Path("/dev").glob("ttyUSB*")):
        pytest.skip("a serial port is plugged in here")
    facts = load_board(board).uart
    assert facts is not None
    assert one_line("monitor", board) == (f"{board}: no serial port found: plug in {facts.where}")


@pytest.mark.parametrize("board", ["b-l475e-iot01a", "stm32f4-discovery"])
def test_debug_asks_for_the_probe_on_the_board(board: str) -> None:
    facts = load_board(board).flash
    assert facts is not None
    if flash.attached(facts, flash.USB):
        pytest.skip(f"a {board} is plugged in here")
    assert one_line("debug", board).startswith(f"{board}: not found: plug in {facts.plug}")


@pytest.mark.skipif(shutil.which("gdb-multiarch") is None, reason="gdb-multiarch is not installed")
def test_debug_asks_for_a_probe_of_its_own() -> None:
    """The Nano has none; pyocd looks for any, and ends."""
    name = "arduino-nano-33-ble-sense"
    elf = build("alexa", name).program("device")
    done = boards("debug", "--board", name, "--elf", str(elf))
    if done.returncode == 0:
        pytest.skip("a probe is plugged in here")
    assert done.stderr.splitlines()[-1] == (
        f"{name}: the debug server does not answer: plug in a CMSIS-DAP or J-Link probe at the SWD "
        "pads on its underside"
    )


def plugged(usb: Path, ids: str) -> None:
    """A USB device as Linux shows it."""
    device = usb / "1-2"
    device.mkdir(parents=True)
    vendor, product = ids.split(":")
    facts = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": "250"}
    for name, text in facts.items():
        (device / name).write_text(text + "\n")


@pytest.mark.parametrize("board", REAL)
def test_a_board_is_known_by_its_usb_ids(
    board: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = load_board(board).flash
    assert facts is not None
    call = typed_example("board connected", {"b-l475e-iot01a": board})
    monkeypatch.setattr(flash, "USB", tmp_path / "other")
    plugged(flash.USB, "1d6b:0002")
    assert main(call) == 1
    monkeypatch.setattr(flash, "USB", tmp_path / "mine")
    plugged(flash.USB, facts.usb[-1])
    assert flash.attached(facts, flash.USB) == "001/250"
    assert main(call) == 0


def test_a_board_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flash, "USB", tmp_path / "usb")
    plugged(flash.USB, "0483:374b")
    node = tmp_path / "001/250"
    node.parent.mkdir()
    node.touch()
    monkeypatch.setattr(flash, "NODES", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: path != node)  # root may open everything
    with pytest.raises(BoardError, match=r"001/250 may not be opened: .*wakestate board udev"):
        flash.check(load_board("b-l475e-iot01a"), "flash")


def test_udev_rules_name_every_probe() -> None:
    rules = flash.udev_rules()
    for name in REAL:
        facts = load_board(name).flash
        assert facts is not None
        for usb in facts.usb:
            vendor, product = usb.split(":")
            assert f'ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}"' in rules


def test_the_commands_that_flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is called; here no board answers it."""
    monkeypatch.setattr(flash, "port", lambda board, given: "/dev/ttyACM3")
    calls = {name: flash.flash_command(load_board(name), Path("x/device.elf")) for name in REAL}
    assert calls["b-l475e-iot01a"][1:] == [
        *("-m", "pyocd", "flash", "--no-wait", "--target", "stm32l475xg", "x/device.elf"),
    ]
    assert calls["stm32f4-discovery"] == [
        *("openocd", "-f", "board/stm32f4discovery.cfg"),
        *("-c", "program {x/device.elf} verify reset exit"),
    ]
    assert calls["arduino-nano-33-ble-sense"] == [
        *("bossac", "-d", "--port=ttyACM3", "-U", "-i", "-e", "-w", "x/device.bin", "-R"),
    ]


PYOCD = """import sys
from pathlib import Path
print(sys.argv[1:-1], Path(sys.argv[-1]).read_bytes()[:4])
"""


def test_the_command_flashes_a_board_that_is_plugged_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Up to the probe: a program replaces pyocd that shows what it is given."""
    elf = build("alexa", "b-l475e-iot01a").program("device")
    plugged(tmp_path / "usb", "0483:374b")
    monkeypatch.setattr(flash, "USB", tmp_path / "usb")
    (tmp_path / "pyocd.py").write_text(PYOCD)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert main([*typed_example("flash", {}), "--elf", str(elf)]) == 0
    given = ["flash", "--no-wait", "--target", "stm32l475xg"]
    assert capfd.readouterr().out == f"{given} {elf.read_bytes()[:4]}\n"


def test_pyocd_knows_the_targets() -> None:
    builtin = pytest.importorskip("pyocd.target.builtin")
    assert "stm32l475xg" in builtin.BUILTIN_TARGETS and "nrf52840" in builtin.BUILTIN_TARGETS


def test_the_serial_port_is_found_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("b-l475e-iot01a")
    there = [ListPortInfo("/dev/ttyS0")]  # of the computer itself: no board is on it
    monkeypatch.setattr(list_ports, "comports", lambda: there)
    with pytest.raises(BoardError, match="no serial port found: plug in the ST-LINK"):
        serial.port(board, None)
    for name in ("/dev/ttyUSB1", "/dev/ttyACM0"):
        there.append(ListPortInfo(name))
        there[-1].vid = 0x0483
    assert serial.port(board, "/dev/ttyS9") == "/dev/ttyS9"
    with pytest.raises(BoardError, match="several serial ports: give one of PORT=/dev/ttyACM0, /d"):
        serial.port(board, None)
    del there[1]
    assert serial.port(board, None) == "/dev/ttyACM0"


def test_a_port_that_cannot_be_opened_reports_why(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    device = os.ttyname(theirs)
    with serial.open_port(device, 1_000_000):
        assert termios.tcgetattr(theirs)[4:6] == [termios.B1000000] * 2
        with pytest.raises(BoardError, match=f"{device}: another program has it open: close"):
            serial.open_port(device, 1_000_000)
    os.close(ours)
    os.close(theirs)
    with pytest.raises(BoardError, match="none: cannot be opened: No such file or directory"):
        serial.open_port(str(tmp_path / "none"), 1_000_000)
    with pytest.raises(BoardError, match=r"/dev/null: cannot be opened: .*Inappropriate ioctl"):
        serial.open_port("/dev/null", 1_000_000)


def test_talking_on_a_serial_port() -> None:
    """A pseudo-terminal replaces it: what it sends comes out, what is typed goes in."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # no echo of what comes before it is set up
    typed = typed_example("monitor", {"/dev/ttyACM0": os.ttyname(theirs)})
    call = [sys.executable, "-m", "wakestate", *typed, "--elf", "not-read.elf"]
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(b"stats\n")
        process.stdin.flush()
        assert os.read(ours, 100) == b"stats\n"  # it is open: what came before is dropped
        os.write(ours, b'{"type":"ready"}\n')
        assert process.stdout.readline() == b'{"type":"ready"}\n'
        process.stdin.close()
        assert process.wait(timeout=30) == 0
    os.close(ours)
    os.close(theirs)


# The gdb client against a server of our own, for what QEMU never does.


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[tuple[gdb.Gdb, list[bytes]]]:
    """A client, and the raw answers that its server gives one after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "gdb"))
    listener.listen()
    given: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while asked := connection.recv(65536):
                if b"$" in asked:
                    if not given:
                        return
                    connection.sendall(given.pop(0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with gdb.Gdb(tmp_path / "gdb") as client:
        yield client, given
    listener.close()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"+$E14#aa", "'M20000000,2:0102' is answered 'E14'"),
        (b"+$OK#00", "a packet came damaged"),
        (b"", "has closed the connection"),
    ],
)
def test_a_server_that_fails(
    answers: tuple[gdb.Gdb, list[bytes]], answer: bytes, problem: str
) -> None:
    client, given = answers
    if answer:
        given.append(answer)
    with pytest.raises(BoardError, match=problem):
        client.write(Segment(0x20000000, b"\x01\x02"))


def test_memory_that_reads_back_otherwise(
    answers: tuple[gdb.Gdb, list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, given = answers
    monkeypatch.setattr(gdb, "segments", lambda elf: [Segment(0x100, b"\x01\x02")])
    given += [b"+$OK#9a", b"+$0103#c4"]
    with pytest.raises(BoardError, match="at 0x100 reads back otherwise"):
        gdb.load(client, tmp_path / "x.elf")


def test_no_elf_and_no_server(tmp_path: Path) -> None:
    (tmp_path / "x.elf").write_bytes(b"#!/bin/sh\n")
    with pytest.raises(BoardError, match="not a 32-bit little-endian ELF file"):
        segments(tmp_path / "x.elf")
    with pytest.raises(BoardError, match="no gdb server answers there"):
        gdb.Gdb(tmp_path / "none", timeout_s=0.1)


# A new board.


@pytest.mark.parametrize("like", [*EMULATED, *REAL])
def test_a_new_board_is_a_folder(like: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "boards" / like, tmp_path / like)
    path = new_board("my-board", like, tmp_path)
    made, old = load_board("my-board", tmp_path), load_board(like)
    assert path == tmp_path / "my-board/board.toml"
    assert made.model_copy(update={"name": like, "sources": ()}) == old.model_copy(
        update={"sources": ()}
    )


@pytest.mark.parametrize("like", ["mps2-an386", "b-l475e-iot01a"])
def test_a_new_board_builds_and_runs(like: str) -> None:
    name = f"new-like-{like}"
    folder = ROOT / "boards" / name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if like in EMULATED:
            done = subprocess.run(
                ["make", "--no-print-directory", "new-board", f"NAME={name}", f"LIKE={like}"],
                cwd=ROOT,
                env=ALONE,
                capture_output=True,
                text=True,
                check=False,
            )
        else:
            done = boards(*typed_example("board new", {"mine": name}))
        assert (done.returncode, done.stdout) == (0, f"{folder / 'board.toml'}\n")
        elf = build("alexa", name).program("device")
        if like in EMULATED:
            flashed = boards("flash", "--board", name, "--elf", str(elf), str(SAMPLE))
            assert f'"board":"{name}"' in flashed.stdout
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(ROOT / "build" / name, ignore_errors=True)
        shutil.rmtree(ROOT / "build/boards" / name, ignore_errors=True)


@pytest.mark.parametrize(
    ("name", "like", "wording"),
    [
        ("Mine", "mps2-an386", "allowed: small letters"),
        ("mps2-an385", "mps2-an386", "is there already"),
        ("mine", "nowhere", "no such board; there are:"),
        ("mine", "host", "it is no board"),
    ],
)
def test_a_new_board_that_cannot_be(name: str, like: str, wording: str) -> None:
    with pytest.raises(BoardError, match=wording):
        new_board(name, like)
    assert "mine" not in board_names()
