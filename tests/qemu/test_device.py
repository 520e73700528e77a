# SPDX-License-Identifier: Apache-2.0
"""The device program: microphone to wake, late main loops, commands, faults.

On the host with a driver of our own, under sanitizers; and the whole image on every emulated
board, with its serial port.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.firmware_build import (
    EMULATED,
    REAL,
    ROOT,
    SEMIHOSTED,
    build,
    host_device,
    run_device,
    skip_without_qemu,
)
from tests.support.wav import LOUD, QUIET, SPEECH, pcm, wav
from wakestate.boards.budget import taken, within
from wakestate.boards.elf import Segment, symbols
from wakestate.boards.gdb import Gdb
from wakestate.boards.generate import generate
from wakestate.boards.run import command
from wakestate.boards.schema import BoardError, load_board

HOP = 160
Event = dict[str, Any]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program on the host: a scripted network whose logit is the newest sample's high byte."""
    return host_device(tmp_path_factory.mktemp("device"))


def run(
    device: Path, audio: bytes, *happenings: str, **environment: str
) -> tuple[list[Event], list[str]]:
    """JSON events, and the other lines of the test's driver."""
    path = device.parent / "audio.raw"
    path.write_bytes(audio)
    done = subprocess.run(
        [str(device), str(path), *happenings],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    return [json.loads(x) for x in lines if x[0] == "{"], [x for x in lines if x[0] != "{"]


def wakes(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == "wake"]


def test_it_prints_what_the_emulator_prints(device: Path, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(wav(SPEECH))
    done = build("scripted", "host").run("emulator", tmp_path / "x.wav")
    expected = [json.loads(line) for line in done.stdout.splitlines()]
    for event in expected:
        del event["file"]
    events, other = run(device, SPEECH)
    assert events[0] == {
        "type": "ready",
        "board": "mps2-an386",
        "word": "scripted",
        "reset": "power-on",
        "state": "player=idle,volume=low",
    }
    assert events[1:] == expected and len(expected) == 2
    # Lit for a second each time; the watchdog was fed at every hop.
    assert other == ["LED 1", "LED 0", "LED 1", "LED 0", f"fed {len(SPEECH) // 2 // HOP}"]


def test_a_late_main_loop_loses_nothing_while_the_ring_has_room(device: Path) -> None:
    events, _ = run(device, SPEECH, "20:+8", "40:+8", "90:stats")
    assert [event["t"] for event in wakes(events)] == [1.065, 2.565]
    stats = next(event for event in events if event["type"] == "stats")
    assert (stats["overruns"], stats["lost"]) == (0, 0)


def test_without_a_command_for_the_timeout_all_is_as_shipped(device: Path) -> None:
    """Of a gateway that died; `words` at 1.5 s is the last command, and any command counts."""
    begun = ["1:sensitivity 5", "3:timeout 1", "50:words", "100:state player=idle", "150:words"]
    events, _ = run(device, 2 * SPEECH, *begun)
    said = [e for e in events if e["type"] in ("word", "uplink", "timeout")]
    states = len(said[0]["sensitivity"])
    given, shipped = [5] * states, [0] * states
    assert [e.get("sensitivity", e.get("on", e.get("seconds"))) for e in said] == [
        given,
        *(1, given, given),
        *(shipped, False, 0),
    ]
    events, _ = run(device, 2 * SPEECH, begun[0], "299:words")
    assert [e["sensitivity"] for e in events if e["type"] == "word"] == [given] * 2


def test_an_overrun_is_counted_reported_once_and_over_within_one_window(device: Path) -> None:
    """Late by 100 ms at 0.5 s: two of ten hops do not fit into the ring of eight."""
    events, _ = run(device, SPEECH, "50:+10", "90:stats", "200:stats")
    stats = [event for event in events if event["type"] == "stats"]
    assert [(s["overruns"], s["lost"]) for s in stats] == [(1, 2 * HOP)] * 2
    first, second = wakes(events)
    assert first["lost"] == 2 * HOP and "lost" not in second
    # Times stay true, to a network step, whose beat the two hops have moved.
    assert abs(first["t"] - 1.065) <= 0.03 and abs(second["t"] - 2.565) <= 0.03


def test_after_an_overrun_it_works_as_if_the_gap_had_never_been(
    device: Path, tmp_path: Path
) -> None:
    """The same events as the emulator's on audio without the lost hops, shifted by them."""
    received = SPEECH[: 58 * HOP * 2] + SPEECH[60 * HOP * 2 :]
    (tmp_path / "x.wav").write_bytes(wav(received))
    done = build("scripted", "host").run("emulator", tmp_path / "x.wav")
    expected = [json.loads(line)["t"] for line in done.stdout.splitlines()]
    events, _ = run(device, SPEECH, "50:+10")
    assert [event["t"] for event in wakes(events)] == pytest.approx([t + 0.02 for t in expected])


def test_many_overruns(device: Path) -> None:
    late = [f"{hop}:+30" for hop in range(20, 300, 40)]
    events, _ = run(device, pcm((4.0, QUIET), (1.0, LOUD)), *late, "390:stats")
    stats = next(event for event in events if event["type"] == "stats")
    assert (stats["overruns"], stats["lost"]) == (7, 7 * 22 * HOP)
    assert len(wakes(events)) == 1


def test_commands(device: Path) -> None:
    events, _ = run(
        device,
        pcm((1.0, QUIET)),
        *("10:state volume=high", "20:state player=loud", "30:hello", "40:" + "x" * 500),
        *("50:state player=music", "70:stats"),
    )
    assert [event["type"] for event in events] == [
        *("ready", "state", "error", "error", "error", "state", "stats"),
    ]
    assert events[1]["state"] == "player=idle,volume=high"
    assert "unknown state 'player=loud'; allowed: player=idle|music" in events[2]["text"]
    assert events[3]["text"] == events[4]["text"]
    assert "unknown command; allowed: state STATE, stats" in events[3]["text"]
    assert events[5]["state"] == "player=music,volume=low"


def test_state_by_pins_and_by_the_api(device: Path) -> None:
    events, other = run(device, pcm((1.0, QUIET)), "10:=2", "30:!3", "50:!4", "60:=7")
    states = [event["state"] for event in events if event["type"] == "state"]
    assert states == ["player=music,volume=low", "player=music,volume=high"]
    assert other[:2] == ["api 1", "api 0"]
    assert events[-1]["text"] == "the state pins show no state of the model"


def test_a_short_glitch_of_the_pins_is_no_change(device: Path) -> None:
    events, _ = run(device, pcm((1.0, QUIET)), "10:=2", "11:=0")
    assert [event["type"] for event in events] == ["ready"]


def test_it_reports_of_the_fault_before_and_of_what_did_not_come_up(device: Path) -> None:
    events, _ = run(device, pcm((0.1, QUIET)), FAULT="1", PROBLEM="the PLL does not lock")
    assert [(e["type"], e.get("text")) for e in events] == [
        ("fault", "board: fault 4"),
        ("ready", None),
        ("error", "the PLL does not lock"),
    ]


# The whole image on emulated boards. 32 ns an instruction: a core of 31 MHz, busy for a quarter.


SAMPLE = ROOT / "models/alexa/sample.wav"


@pytest.fixture(scope="module")
def expected() -> list[Event]:
    """The events of the host emulator on the sample."""
    done = build("alexa", "host").run("emulator", SAMPLE)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("board", EMULATED)
def test_the_image_wakes_as_the_emulator_does(board: str, expected: list[Event]) -> None:
    events = run_device(build("alexa", board), SAMPLE)
    assert events[0]["type"] == "ready" and events[0]["board"] == board
    assert [(e["t"], e["p"], e["state"]) for e in wakes(events)] == [
        (e["t"], e["p"], e["state"]) for e in expected
    ]
    assert not any("lost" in event for event in events)


@pytest.mark.parametrize("board", EMULATED)
def test_the_image_recovers_from_being_late(board: str, expected: list[Event]) -> None:
    """Real interrupts, 100 ms without the main loop: hops are lost once, and counted. In a state in
    which no word of the sample is a near thing: the network's steps are elsewhere afterwards."""
    events = run_device(build("alexa", board), SAMPLE, b"late 100\nstats\nstate volume=high\n")
    lost = [event["lost"] for event in events if "lost" in event and event["type"] != "stats"]
    assert len(lost) == 1 and lost[0] in (2 * HOP, 3 * HOP)  # reported by the next event alone
    found = wakes(events)
    assert len(found) == 3
    for event, whole in zip(found, expected, strict=True):
        assert abs(event["t"] - whole["t"]) <= 0.03


#: And whether the address of the fault is kept.
FAULTS = {"stack": 0, "undefined": 1, "unaligned": 1}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("board", EMULATED)
def test_a_fault_reports_its_registers(board: str, fault: str, tmp_path: Path) -> None:
    """An overflow of the stack, an undefined instruction, an unaligned double load."""
    facts = load_board(board)
    generate(board, tmp_path)
    elf = tmp_path / "fault.elf"
    sources = [ROOT / f"firmware/{path}.c" for path in SEMIHOSTED]
    call = ["arm-none-eabi-gcc", *facts.cflags, *facts.ldflags, "-O1", "-ffunction-sections"]
    call += [f"-I{ROOT / 'firmware'}", "-T", str(tmp_path / "linker.ld")]
    call += [
        *map(str, sources),
        str(ROOT / "firmware/programs/common/text.c"),
        str(ROOT / "tests/native/faults.c"),
        f"-DFAULT={[*FAULTS].index(fault)}",
        "-o",
        str(elf),
    ]
    subprocess.run(call, check=True)
    done = subprocess.run(command(facts, elf, []), capture_output=True, check=False, timeout=60)
    assert done.returncode == 70
    line = done.stderr.decode()
    assert line.startswith("board: fault 0x0000000") and line.endswith("\n")
    registers = dict(word.split("=") for word in line.split()[3:])
    pc = int(registers["pc"], 16)
    assert facts.memory is not None
    code_region = facts.memory.code
    inside = code_region.origin <= pc < code_region.origin + code_region.length
    assert inside or not FAULTS[fault]
    assert int(registers["cfsr"], 16) != 0


# Every board, the real ones too.


@pytest.mark.parametrize("board", [*EMULATED, *REAL])
def test_the_image_keeps_to_its_budget(board: str) -> None:
    """Built without a warning (they are errors), and no larger than board.toml says."""
    made = build("alexa", board)
    assert "flash" in within(made.board, made.program("device")).text
    found = taken(made.program("device"))
    assert made.board.memory is not None
    assert found.flash < made.board.memory.code.length
    assert found.ram < made.board.memory.ram.length
    assert found.ram > made.board.stack_bytes


def test_over_the_budget_is_an_error() -> None:
    made = build("alexa", "mps2-an386")
    elf = made.program("device")
    assert made.board.budget is not None
    small = made.board.budget.model_copy(update={"ram_bytes": 8192})
    with pytest.raises(BoardError, match=r"RAM with stack \d+ of 8192: over the \[budget\]"):
        within(made.board.model_copy(update={"budget": small}), elf)


#: What QEMU's models of the chips lack: flash registers of the one (and DFSDM and DMA), clocks of
#: the other (and I2S and DMA). The drivers continue without, and report it.
LACKING = {
    "b-l475e-iot01a": "the flash does not take its wait states",
    "stm32f4-discovery": "the crystal does not start",
}


@pytest.mark.parametrize("board", LACKING)
def test_a_real_boards_image_boots_and_handles_commands_in_qemu(board: str) -> None:
    skip_without_qemu(board)
    made = build("alexa", board)
    call = command(made.board, made.program("device"), [], serial=True)
    with subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.stdin.write(b"stats\n")
        process.stdin.flush()
        lines.append(json.loads(process.stdout.readline()))
        process.kill()
    assert [line["type"] for line in lines] == ["ready", "error", "stats"]
    assert lines[0]["board"] == board
    assert lines[1]["text"] == LACKING[board]


@pytest.mark.parametrize("board", LACKING)
def test_a_real_board_restarts_after_a_fault_and_reports_of_it(board: str, tmp_path: Path) -> None:
    """An undefined instruction, put by the gdb port where the main loop asks for commands."""
    skip_without_qemu(board)
    made = build("alexa", board)
    elf = made.program("device")
    address = next(s.address for s in symbols(elf) if s.name == "ws_driver_receive")
    call = command(made.board, elf, [], serial=True, gdb=f"unix:{tmp_path}/gdb,server=on,wait=off")
    with subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        with Gdb(tmp_path / "gdb") as server:
            server.write(Segment(address, b"\x00\xde"))  # udf #0
            server.detach()
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().strip() for _ in range(5)]
        process.kill()
    assert json.loads(lines[0])["type"] == "ready" and json.loads(lines[1])["type"] == "error"
    assert lines[2].startswith("board: fault 0x00000006 ")  # a usage fault
    assert f"pc=0x{address:08x}" in lines[2]
    assert json.loads(lines[3]) == {"type": "fault", "text": lines[2]}
    assert json.loads(lines[4])["type"] == "ready"
