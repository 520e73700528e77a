# SPDX-License-Identifier: Apache-2.0
"""The drivers of the real boards, run on the host against the registers of the vendor's SVD.

There is no hardware here. What these tests hold is that each driver writes what the data sheet
asks for, in its order: tests/support/driver_writes.py names every register. What they cannot hold
is that the data sheet, the SVD and the board agree.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from tests.support.driver_writes import HOP, POINTER, SEQUENCES, Writes
from tests.support.firmware_build import REAL
from tests.support.registers import Registers
from wakestate.boards import pdm


def take(registers: Registers) -> np.ndarray:
    """All hops that came, one after the other."""
    count = ctypes.c_uint.in_dll(registers.driver, "mock_hops")
    samples = (ctypes.c_int16 * HOP * 8).in_dll(registers.driver, "mock_samples")
    hops = np.array(samples)[: count.value].ravel()
    count.value = 0
    return hops


def answer_stm32(registers: Registers) -> None:
    """Oscillators and PLLs come up when they are switched on; the clock is taken at once."""

    def oscillators(r: Registers, value: int) -> None:
        fields = r.chip.registers["RCC_CR"].fields
        for name in fields:
            if name.endswith("ON") and f"{name[:-2]}RDY" in fields:
                ready = r.bits(f"RCC_CR.{name[:-2]}RDY")
                on = value & r.bits(f"RCC_CR.{name}")
                r["RCC_CR"] = r["RCC_CR"] | ready if on else r["RCC_CR"] & ~ready

    def switch(r: Registers, value: int) -> None:
        r["RCC_CFGR"] = (value & ~0xC) | (value & 3) << 2

    registers.rules.update({"RCC_CR": oscillators, "RCC_CFGR": switch})


def answer_nrf(registers: Registers) -> None:
    """The crystal starts; the serial port sends."""

    def crystal(r: Registers, value: int) -> None:
        r["CLOCK_EVENTS_HFCLKSTARTED"] = 1
        r["CLOCK_HFCLKSTAT"] = 0x10001

    def sent(r: Registers, value: int) -> None:
        r["UART0_EVENTS_TXDRDY"] = 1

    registers.rules.update({"CLOCK_TASKS_HFCLKSTART": crystal, "UART0_TXD": sent})


def made(board: str, folder: Path) -> Registers:
    registers = Registers(board, folder)
    (answer_nrf if board.startswith("arduino") else answer_stm32)(registers)
    return registers


def check(given: Writes, expected: Writes) -> None:
    pointers = {name for name, value in expected if value == POINTER}
    assert [(n, POINTER if n in pointers else value) for n, value in given] == expected


def test_every_real_board_is_here() -> None:
    assert sorted(SEQUENCES) == sorted(REAL)


@pytest.mark.parametrize("board", SEQUENCES)
def test_registers_are_written_as_in_the_data_sheet(board: str, tmp_path: Path) -> None:
    registers = made(board, tmp_path)
    start, listen = SEQUENCES[board]
    assert registers.driver.ws_driver_start() is None
    check(registers.log, start)
    registers.log.clear()
    registers.driver.ws_driver_listen()
    check(registers.log, listen)


@pytest.mark.parametrize("board", SEQUENCES)
def test_a_clock_that_does_not_come_up_is_reported_and_nothing_hangs(
    board: str, tmp_path: Path
) -> None:
    registers = Registers(board, tmp_path)  # which answers nothing
    problem = registers.driver.ws_driver_start()
    assert problem in (b"the crystal does not start", b"the PLL does not lock")
    # The serial port still is set up, for the clock there is.
    names = [name for name, _ in registers.log]
    assert any(name.endswith(("BRR", "BAUDRATE")) for name in names)
    if board == "stm32f4-discovery":
        assert registers["USART2_BRR"] == 16  # 16 MHz for 1 Mbaud
    if board == "b-l475e-iot01a":
        # 4 MHz would be too few: 16 of its clocks make a bit.
        assert registers["USART1_BRR"] == 16
        assert registers.written("RCC_CR")[-2:] == [
            ("RCC_CR", 0x63 | 1 << 24 | 1 << 3),
            ("RCC_CR", 0x03 | 1 << 24 | 1 << 3 | 8 << 4),
        ]


LOW_SUPPLY = {
    "arduino-nano-33-ble-sense": ("POWER_POFCON", "POWER_EVENTS_POFWARN", 1),
    "b-l475e-iot01a": ("PWR_CR2", "PWR_SR2", 1 << 11),
    "stm32f4-discovery": ("PWR_CR", "PWR_CSR", 1 << 2),
}


@pytest.mark.parametrize("board", SEQUENCES)
def test_a_low_supply_does_not_get_the_fast_clock(board: str, tmp_path: Path) -> None:
    registers = made(board, tmp_path)
    control, status, bit = LOW_SUPPLY[board]

    def warn(r: Registers, value: int) -> None:
        r[status] = r[status] | bit

    registers.rules[control] = warn
    assert b"the supply is below" in registers.driver.ws_driver_start()
    assert registers.written("RCC_PLLCFGR") == []


RESETS = {
    "arduino-nano-33-ble-sense": (
        "POWER_RESETREAS",
        {0: b"power-on or brown-out", 1: b"pin", 2: b"watchdog", 4: b"software", 8: b"lock-up"},
    ),
    "b-l475e-iot01a": (
        "RCC_CSR",
        {
            1 << 26: b"pin",
            3 << 26: b"power-on or brown-out",
            1 << 26 | 1 << 29: b"watchdog",
            1 << 26 | 1 << 28: b"software",
        },
    ),
    "stm32f4-discovery": (
        "RCC_CSR",
        {
            1 << 26: b"pin",
            1 << 25 | 1 << 26: b"brown-out",
            7 << 25: b"power-on",
            1 << 26 | 1 << 29: b"watchdog",
            1 << 26 | 1 << 28: b"software",
        },
    ),
}


@pytest.mark.parametrize("board", SEQUENCES)
def test_the_reason_of_the_reset_is_reported(board: str, tmp_path: Path) -> None:
    register, reasons = RESETS[board]
    for value, reason in reasons.items():
        registers = made(board, tmp_path)
        registers[register] = value
        registers.driver.ws_driver_start()
        assert registers.driver.ws_driver_reset_reason() == reason


LEDS = {
    "arduino-nano-33-ble-sense": [("P0_OUTSET", 1 << 13), ("P0_OUTCLR", 1 << 13)],
    "b-l475e-iot01a": [("GPIOB_BSRR", 1 << 14), ("GPIOB_BSRR", 1 << 30)],
    "stm32f4-discovery": [("GPIOD_BSRR", 1 << 12), ("GPIOD_BSRR", 1 << 28)],
}
STATE_PINS = {  # the levels of the second pin alone
    "arduino-nano-33-ble-sense": ("P1_IN", 1 << 12),
    "b-l475e-iot01a": ("GPIOB_IDR", 1 << 0),
    "stm32f4-discovery": ("GPIOE_IDR", 1 << 8),
}
FEEDS = {"arduino-nano-33-ble-sense": ("WDT_RR_0", 0x6E524635)}


@pytest.mark.parametrize("board", SEQUENCES)
def test_led_state_pins_and_watchdog(board: str, tmp_path: Path) -> None:
    registers = made(board, tmp_path)
    registers.driver.ws_driver_start()
    registers.log.clear()
    registers.driver.ws_driver_led(True)
    registers.driver.ws_driver_led(False)
    registers.driver.ws_driver_feed_watchdog()
    assert registers.log == [*LEDS[board], FEEDS.get(board, ("IWDG_KR", 0xAAAA))]
    assert registers.driver.ws_driver_state_pins() == 0
    register, level = STATE_PINS[board]
    registers[register] = level
    assert registers.driver.ws_driver_state_pins() == 2


SERIAL = {  # sent into, received from, flags, "may send", "has a byte", handler
    "arduino-nano-33-ble-sense": (
        "UART0_TXD",
        "UART0_RXD",
        "UART0_EVENTS_RXDRDY",
        0,
        1,
        "ws_on_UARTE0_UART0",
    ),
    "b-l475e-iot01a": ("USART1_TDR", "USART1_RDR", "USART1_ISR", 1 << 7, 1 << 5, "ws_on_USART1"),
    "stm32f4-discovery": ("USART2_DR", "USART2_DR", "USART2_SR", 1 << 7, 1 << 5, "ws_on_USART2"),
}


@pytest.mark.parametrize("board", SEQUENCES)
def test_the_serial_port_sends_and_receives(board: str, tmp_path: Path) -> None:
    registers = made(board, tmp_path)
    registers.driver.ws_driver_start()
    out, into, flags, may_send, has_byte, handler = SERIAL[board]
    registers[flags] = may_send
    registers.driver.ws_driver_send(b"wake", ctypes.c_size_t(4))
    assert registers.written(out) == [(out, byte) for byte in b"wake"]
    assert registers.driver.ws_driver_receive() == -1
    for byte in b"ok":
        registers[flags] = has_byte
        registers[into] = byte
        getattr(registers.driver, handler)()
    assert [registers.driver.ws_driver_receive() for _ in range(3)] == [*b"ok", -1]


@pytest.mark.parametrize("board", SEQUENCES)
def test_a_zero_stands_where_received_bytes_were_lost(board: str, tmp_path: Path) -> None:
    registers = made(board, tmp_path)
    registers.driver.ws_driver_start()
    _, into, flags, _, has_byte, handler = SERIAL[board]

    def come_in(count: int) -> None:
        for _ in range(count):
            registers[flags] = has_byte
            registers[into] = ord("x")
            getattr(registers.driver, handler)()

    def taken(count: int) -> bytes:
        return bytes(registers.driver.ws_driver_receive() for _ in range(count))

    come_in(200)
    assert taken(1) == b"x"
    come_in(1)  # there is room for the zero alone
    assert taken(128) == b"x" * 127 + b"\0"
    come_in(2)
    assert taken(3) == b"\0xx" and registers.driver.ws_driver_receive() == -1


def write(address: int, values: np.ndarray) -> None:
    """What DMA would do."""
    data = values.tobytes()
    ctypes.memmove(address, data, len(data))


def write_at_barrier(registers: Registers, *hops: tuple[int, np.ndarray]) -> None:
    """What DMA would do on a core that reads ahead: it is not there before the next barrier."""

    def arrive() -> None:
        for address, values in hops:
            write(address, values)
        registers.on_barrier = None

    registers.on_barrier = arrive


def test_nrf52840_buffers_take_turns(tmp_path: Path) -> None:
    registers = made("arduino-nano-33-ble-sense", tmp_path)
    registers.driver.ws_driver_listen()
    samples = np.arange(1, 6)[:, None] * 1000 + np.arange(HOP)
    for hop in samples.astype(np.int16):
        buffer = registers.pointer(registers["PDM_SAMPLE_PTR"])
        registers["PDM_EVENTS_STARTED"] = 1  # the pointer is taken ...
        registers.driver.ws_on_PDM()
        assert registers.pointer(registers["PDM_SAMPLE_PTR"]) != buffer  # ... and the next set
        write_at_barrier(registers, (buffer, hop))
        registers["PDM_EVENTS_END"] = 1
        registers.driver.ws_on_PDM()
        assert registers.on_barrier is None
        assert registers["PDM_EVENTS_STARTED"] == registers["PDM_EVENTS_END"] == 0
    assert (take(registers) == samples.ravel()).all()


def test_stm32l475_sums_both_microphones(tmp_path: Path) -> None:
    """A 1 kHz tone at -6 dBFS in both, as the DFSDM gives it: 6250000 is its full scale."""
    registers = made("b-l475e-iot01a", tmp_path)
    registers.driver.ws_driver_listen()
    buffers = [registers.pointer(registers[f"DMA1_CMAR{channel}"]) for channel in (4, 5)]
    time = np.arange(2 * HOP * 8) / 32000
    data = np.rint(50**4 * 0.5 / 8 * np.sin(2 * np.pi * 1000 * time)).astype("<i4")
    got = []
    for index, hop in enumerate(data.reshape(-1, 2 * HOP)):
        half = index % 2 * hop.nbytes
        both = [(buffer + half, hop << 8 | channel) for channel, buffer in enumerate(buffers)]
        write_at_barrier(registers, *both)
        registers["DMA1_ISR"] = 1 << (18, 17)[index % 2]  # half, whole
        registers.driver.ws_on_DMA1_Channel5()
        assert registers.written("DMA1_IFCR")[-1] == ("DMA1_IFCR", 1 << (18, 17)[index % 2])
        got.append(take(registers))
    pcm = np.concatenate(got)[HOP:]
    # 18 dB of gain make good the eighth; 2 * 50^4 / 2^24 is the full scale that is left.
    assert abs(np.abs(pcm).max() / 32768 - 0.5 * 2 * 50**4 / 2**24) < 0.004


def test_stm32f407_reads_bits(tmp_path: Path) -> None:
    """The same tone as the bits of a modulator, by I2S and DMA."""
    registers = made("stm32f4-discovery", tmp_path)
    registers.driver.ws_driver_listen()
    buffer = registers.pointer(registers["DMA1_S3M0AR"])
    time = np.arange(8 * HOP * 128) / (128 * 16000)
    bits = pdm.modulate(0.5 / 8 * np.sin(2 * np.pi * 1000 * time))
    words = np.packbits(bits).view(">u2").astype("<u2").reshape(8, -1)
    got = []
    for index, hop in enumerate(words):
        write_at_barrier(registers, (buffer + index % 2 * hop.nbytes, hop))
        registers["DMA1_LISR"] = 1 << (26, 27)[index % 2]  # half, whole
        registers.driver.ws_on_DMA1_Stream3()
        assert registers.written("DMA1_LIFCR")[-1] == ("DMA1_LIFCR", 1 << (26, 27)[index % 2])
        got.append(take(registers))
    pcm = np.concatenate(got)[HOP:]
    assert abs(np.abs(pcm).max() / 32768 - 0.5) < 0.01


INTERRUPT = {  # of a port that may send again: its enable, and what answers that it may
    "arduino-nano-33-ble-sense": ("UART0_INTENSET", 1 << 7, "UART0_EVENTS_TXDRDY", 1),
    "b-l475e-iot01a": ("USART1_CR1", 1 << 7, "USART1_ISR", 1 << 7),
    "stm32f4-discovery": ("USART2_CR1", 1 << 7, "USART2_SR", 1 << 7),
}


def answer_slowly(registers: Registers, board: str) -> None:
    """The port takes a byte and is busy with it until the test changes that."""
    out, ready = SERIAL[board][0], INTERRUPT[board]

    def taken(r: Registers, value: int) -> None:
        r[ready[2]] = 0

    registers.rules[out] = taken
    if board.startswith("arduino"):  # set and clear are two registers there

        def set_bits(r: Registers, value: int) -> None:
            r["UART0_INTENSET"] = enabled[0] = enabled[0] | value

        def clear_bits(r: Registers, value: int) -> None:
            r["UART0_INTENSET"] = enabled[0] = enabled[0] & ~value

        enabled = [1 << 2]
        registers.rules.update({"UART0_INTENSET": set_bits, "UART0_INTENCLR": clear_bits})


@pytest.mark.parametrize("board", SEQUENCES)
def test_offered_bytes_go_by_interrupt_and_before_what_is_sent_later(
    board: str, tmp_path: Path
) -> None:
    registers = made(board, tmp_path)
    registers.driver.ws_driver_start()
    registers.driver.ws_driver_offer.restype = ctypes.c_size_t
    out, handler = SERIAL[board][0], getattr(registers.driver, SERIAL[board][5])
    enable, bit, flag, may_send = INTERRUPT[board]
    answer_slowly(registers, board)
    registers[flag] = 0 if board.startswith("arduino") else may_send

    data = bytes(range(200))
    taken = registers.driver.ws_driver_offer(data, ctypes.c_size_t(200))
    assert taken in (128, 129)  # the queue, and the byte that the port has
    assert registers.driver.ws_driver_offer(data, ctypes.c_size_t(200)) == 0
    assert registers.written(out) == [(out, 0)] and registers[enable] & bit
    for count in range(2, 11):
        registers[flag] = may_send
        handler()
        assert registers.written(out) == [(out, byte) for byte in data[:count]]
    handler()  # not ready: nothing is sent
    assert len(registers.written(out)) == 10
    assert registers.driver.ws_driver_offer(data[taken:], ctypes.c_size_t(3)) == 3

    def at_once(r: Registers, value: int) -> None:
        r[flag] = may_send

    registers.rules[out] = at_once
    registers[flag] = may_send
    registers.driver.ws_driver_send(b"line", ctypes.c_size_t(4))
    expected = data[: taken + 3] + b"line"
    assert bytes(value for _, value in registers.written(out)) == expected
    assert not registers[enable] & bit or board.startswith("arduino")
    handler()
    assert len(registers.written(out)) == len(expected)
