# SPDX-License-Identifier: Apache-2.0
"""The device program under a flood of bytes at line rate, in virtual time: no hop is lost.

tests/native/device_flood.c is the driver: a port of 1 Mbaud or 115,200 baud that never pauses, and
a core that detection takes up to three quarters of.
"""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path

import pytest

from tests.support.firmware_build import host_device
from wakestate.verify.protocol.frames import Frame, Reader

SECONDS = 5
NOISE = random.Random(1)
LONG_STATES = "state " + '"\\\x01' * 30
FLOODS = {
    "nothing": b"",
    "stats": b"stats\n",
    "a state": b"state player=music,volume=high\n",
    "two states": b"state player=music\nstate player=idle\n",
    "unknown states": LONG_STATES.encode() + b"\n",
    "uplink on": b"uplink on\n",
    "uplink on and off": b"uplink on\nuplink off\n",
    "stop": b"uplink on\nstop\nstop 3\n",
    "everything": b"uplink on\nstats\nstate player=music\nstop 1\nstate volume=high\n?\n",
    "one byte commands": b"x\n",
    "a line without end": b"a" * 100,
    "line ends": b"\n\r",
    "zeros": b"\0",
    "noise": NOISE.randbytes(4096),
    "noise and commands": b"".join(NOISE.randbytes(9) + b"\nstats\n" for _ in range(200)),
}


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return host_device(tmp_path_factory.mktemp("flood"), "device_flood")


def flood(device: Path, commands: bytes, baud: int, work_us: int) -> tuple[list[int], bytes]:
    """Hops, hops lost, and the longest time without a feed in us; and all that the device said."""
    path = device.parent / "commands"
    path.write_bytes(commands)
    call = [str(device), str(path), str(baud), str(work_us), str(SECONDS)]
    done = subprocess.run(call, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return [int(word) for word in done.stderr.split()], done.stdout


@pytest.mark.parametrize("baud", [1_000_000, 115_200])
@pytest.mark.parametrize("work_us", [1500, 7500])
@pytest.mark.parametrize("name", FLOODS)
def test_no_hop_is_lost_and_the_watchdog_is_fed(
    device: Path, name: str, work_us: int, baud: int
) -> None:
    (hops, lost, longest_us), printed = flood(device, FLOODS[name], baud, work_us)
    assert hops == 100 * SECONDS
    assert lost == 0
    assert longest_us < 50_000
    # Lines and frames stay whole, and none is within another.
    reader = Reader()
    items = list(reader.feed(printed))
    events = [json.loads(item) for item in items if isinstance(item, str)]
    assert (reader.damaged, reader.lost) == (0, 0)
    wakes = [event for event in events if event["type"] == "wake"]
    if name not in ("a state", "two states", "everything"):  # whose thresholds are others
        assert len(wakes) >= SECONDS - 2
    assert all("lost" not in event or event["type"] == "stats" for event in events)
    if name == "uplink on" and baud == 1_000_000:
        assert sum(isinstance(item, Frame) for item in items) > 90 * (SECONDS - 2)


def test_commands_within_a_flood_are_still_answered(device: Path) -> None:
    """A valid command is handled between noise: the port's queue runs over, the parser does not."""
    _, printed = flood(device, FLOODS["noise and commands"], 1_000_000, 1500)
    kinds = [json.loads(line)["type"] for line in printed.splitlines()]
    assert kinds.count("stats") > 20 and kinds.count("error") > 20


def test_what_is_left_of_two_commands_is_no_command(device: Path) -> None:
    """Bytes are lost at line rate; nothing but the two states that were sent is ever taken."""
    text = b"state player=music,volume=low\nstate player=idle,volume=high\n"
    _, printed = flood(device, text, 1_000_000, 7500)
    events = [json.loads(line) for line in printed.splitlines()]
    states = {event["state"] for event in events if event["type"] == "state"}
    assert states == {"player=music,volume=low", "player=idle,volume=high"}
    errors = {event["text"] for event in events if event["type"] == "error"}
    assert len(errors) == 1 and "bytes of a command were lost" in errors.pop()
