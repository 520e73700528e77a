# SPDX-License-Identifier: Apache-2.0
"""The PDM filter: bit for bit what its integers say, near its float model, as good as it claims.

The claims: at least 70 dB signal to noise for a 1 kHz tone at -6 dBFS from an ideal second-order
modulator, and flat within 0.5 dB from 100 Hz to 7 kHz.
"""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.firmware_build import ROOT, SEMIHOSTED
from wakestate.boards import pdm
from wakestate.boards.generate import generate
from wakestate.boards.run import capture
from wakestate.boards.schema import load_board

HOP = 160
BITS = 128  # a sample


PDM = "firmware/programs/device/pdm.c"


class Filter:
    """programs/device/pdm.c, on the host with sanitizers off (it is loaded into Python)."""

    def __init__(self, library: ctypes.CDLL, gain_db: int = 0) -> None:
        self._library = library
        self._memory = ctypes.create_string_buffer(8192)
        library.ws_pdm_reset(self._memory, gain_db)

    def __call__(self, bits: NDArray[np.uint8]) -> NDArray[np.int16]:
        """Whole hops of bits to PCM."""
        words = np.packbits(bits).view(">u2").astype("<u2").reshape(-1, HOP * BITS // 16)
        out = np.empty((len(words), HOP), np.int16)
        for hop, pcm in zip(words, out, strict=True):
            self._library.ws_pdm_hop(
                self._memory,
                hop.ctypes.data_as(ctypes.c_void_p),
                pcm.ctypes.data_as(ctypes.c_void_p),
            )
        return out.ravel()


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    path = tmp_path_factory.mktemp("pdm") / "pdm.so"
    call = ["gcc", "-std=c11", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all"]
    call += ["-static-libubsan", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fPIC", "-shared"]
    call += [
        "-Itests/scripted",
        "-Ifirmware/include",
        PDM,
        "-o",
        str(path),
    ]
    subprocess.run(call, cwd=ROOT, check=True)
    return ctypes.CDLL(str(path))


def tone(hz: float, level: float, seconds: float) -> NDArray[np.uint8]:
    count = round(seconds * 16000 / HOP) * HOP * BITS
    return pdm.modulate(level * np.sin(2 * np.pi * hz * np.arange(count) / (16000 * BITS)))


def fit(pcm: NDArray[np.floating], hz: float) -> tuple[float, NDArray[np.floating]]:
    """The amplitude of the tone, and the rest."""
    phase = 2 * np.pi * hz * np.arange(len(pcm)) / 16000
    basis = np.stack([np.sin(phase), np.cos(phase), np.ones(len(pcm))], 1)
    found = np.linalg.lstsq(basis, pcm, rcond=None)[0]
    return float(np.hypot(found[0], found[1])), pcm - basis @ found


def settled(pcm: NDArray[np.integer]) -> NDArray[np.float64]:
    """Without the first 0.2 s: the offset's filter takes 16 ms an e-fold."""
    return pcm[3200:] / 32768


def reference(bits: NDArray[np.uint8], gain_db: int) -> NDArray[np.int64]:
    """The same integers by other means: sums as convolutions, all at once."""
    window = np.ones(1, np.int64)
    for _ in range(pdm.ORDER):
        window = np.convolve(window, np.ones(pdm.SUM_BITS, np.int64))
    sums = np.convolve(bits.astype(np.int64), window)[pdm.SUM_BITS - 1 : len(bits) : pdm.SUM_BITS]
    slow = np.concatenate([np.zeros(62, np.int64), 2 * sums - (1 << 24)])
    windows = np.lib.stride_tricks.sliding_window_view(slow, 64)[::2]
    taps = np.array([*pdm.taps()])
    shift = 24 - gain_db // 6
    values = (windows @ taps + (1 << (shift - 1))) >> shift
    out, offset = [], 0
    for value in values.tolist():
        value -= offset >> 8
        offset += value
        out.append(min(max(value, -32768), 32767))
    return np.array(out)


def test_the_c_holds_the_taps_of_the_design() -> None:
    text = (ROOT / PDM).read_text(encoding="utf-8")
    body = text[text.index("taps[WS_HALFBAND_TAPS / 2] = {") :]
    numbers = body[body.index("{") + 1 : body.index("}")].replace("/**/", "").split(",")
    assert [int(number) for number in numbers if number.strip()] == pdm.taps()[:32].tolist()


@pytest.mark.parametrize("gain_db", [0, 18])
def test_bit_for_bit(library: ctypes.CDLL, gain_db: int) -> None:
    """Random bits, all ones, all zeros, and a tone; the last two gains clip."""
    random = np.random.default_rng(5)
    count = HOP * BITS
    parts = [random.integers(0, 2, 5 * count), np.ones(3 * count), np.zeros(3 * count)]
    bits = np.concatenate([*parts, tone(440, 0.9, 0.05)]).astype(np.uint8)
    expected = reference(bits, gain_db)
    assert expected.max() == 32767 or gain_db == 0
    np.testing.assert_array_equal(Filter(library, gain_db)(bits), expected)


def test_signal_to_noise_of_an_ideal_modulator(library: ctypes.CDLL) -> None:
    pcm = settled(Filter(library)(tone(1000, 0.5, 1.2)))
    amplitude, rest = fit(pcm, 1000)
    assert 10 * np.log10(amplitude**2 / 2 / np.mean(rest**2)) >= 70
    assert abs(20 * np.log10(amplitude / 0.5)) < 0.1


def test_flat_from_100_hz_to_7_khz(library: ctypes.CDLL) -> None:
    gains = []
    for hz in (100, 200, 500, 1000, 2000, 3000, 4000, 5000, 6000, 6500, 7000):
        amplitude, _ = fit(settled(Filter(library)(tone(hz, 0.5, 0.6))), hz)
        gains.append(20 * np.log10(amplitude / 0.5))
    assert np.abs(gains).max() <= 0.5


def test_what_would_alias_is_stopped(library: ctypes.CDLL) -> None:
    """Tones above the band come out 60 dB lower; 40 of the running sums alone."""
    for hz in (9500, 12000, 17000, 22500, 25000, 31000, 33000, 39000, 57000):
        pcm = settled(Filter(library)(tone(hz, 0.5, 0.5)))
        assert 20 * np.log10(np.std(pcm) * np.sqrt(2) / 0.5) < (-60 if hz < 23000 else -40), hz


def test_near_the_float_model(library: ctypes.CDLL) -> None:
    """Within the 16 bits' rounding, but for the offset that the model leaves."""
    bits = tone(700, 0.4, 0.6)
    difference = settled(Filter(library)(bits)) - pdm.model(bits)[3200:]
    _, rest = fit(difference, 700)  # the offset's filter turns the phase by 0.8 degrees
    assert np.abs(rest).max() < 1.5 / 32768


def test_an_offset_goes(library: ctypes.CDLL) -> None:
    """A microphone's resting value of a twentieth of full scale is gone after 0.2 s."""
    count = HOP * BITS * 40
    assert np.abs(settled(Filter(library)(pdm.modulate(np.full(count, 0.05))))).max() < 4 / 32768


# What it costs, as in the pages of the boards.


def test_the_filters_instructions_are_those_of_the_boards(tmp_path: Path) -> None:
    """Counted in QEMU on an M4F, as all costs; board.toml may be 5 % off."""
    board = load_board("mps2-an386")
    generate("mps2-an386", tmp_path)
    sources = [f"firmware/{path}.c" for path in SEMIHOSTED]
    sources += [
        "firmware/programs/common/text.c",
        PDM,
        "tests/native/pdm_cost.c",
    ]
    call = ["arm-none-eabi-gcc", *board.cflags, *board.ldflags, "-O2", "-ffunction-sections"]
    call += [
        "-Itests/scripted",
        "-Ifirmware/include",
        "-Ifirmware",
        "-T",
        str(tmp_path / "linker.ld"),
        *sources,
    ]
    subprocess.run([*call, "-o", str(tmp_path / "count.elf")], cwd=ROOT, check=True)
    done = capture(board, tmp_path / "count.elf", [], icount=6)
    assert (done.returncode, done.stderr) == (0, b"")
    assert board.clock_hz is not None
    ticks = [int(number) for number in done.stdout.split()]
    whole, half = (round(t * 1e9 / board.clock_hz / 64 * 16000 / HOP) for t in ticks)
    for name, counted in (("stm32f4-discovery", whole), ("b-l475e-iot01a", half)):
        power = load_board(name).power
        assert power is not None
        assert power.filter_instructions == pytest.approx(counted, rel=0.05), counted
