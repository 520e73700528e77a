# SPDX-License-Identifier: Apache-2.0
"""board.toml, and what is generated from it."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.firmware_build import REAL, ROOT
from wakestate.__main__ import main
from wakestate.boards import generate, pages, svd
from wakestate.boards.schema import BoardError, board_names, load_board

GOOD = (ROOT / "boards/mps2-an386/board.toml").read_text(encoding="utf-8")


def refusal(tmp_path: Path, text: str, name: str = "mps2-an386") -> str:
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / "board.toml").write_text(text, encoding="utf-8")
    with pytest.raises(BoardError) as error:
        load_board(name, tmp_path)
    return str(error.value)


def test_all_boards_are_good() -> None:
    assert {"host", "mps2-an385", "mps2-an386"} <= set(board_names())
    for name in board_names():
        assert load_board(name).name == name


@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ('core = "cortex-m4"', 'core = "cortex-m9"', ["core", "'cortex-m9'", "'cortex-m4'"]),
        ('core = "cortex-m4"', 'core = "cortex-m3"', ["fpv4-sp-d16", "cortex-m3: none"]),
        ("stack_bytes = 8192", "stack_bytes = 104", ["stack_bytes", "given 104", "1024"]),
        (
            "stack_bytes",
            "stack_byte",
            ["stack_byte: unknown key; allowed: budget, chip, clock, clock_hz, core"],
        ),
        ("length = 0x00400000", "size = 1", ["memory.code.size: unknown key; allowed: length"]),
        ("length = 0x00400000", "length = 4", ["memory.code.length", "given 4"]),
        ("machine =", "machines =", ["qemu.machine: missing"]),
        ("origin = 0x20000000", "origin = 0x00100000", ["memory", "code and ram overlap"]),
        ("clock_hz = 25_000_000", "", ["clock_hz: missing; a cortex-m4 needs it"]),
        ('name = "mps2-an386"', 'name = "other"', ["given 'other'", "'mps2-an386'"]),
        ("[memory]", "[memory", ["not valid TOML"]),
    ],
)
def test_errors_name_file_key_given_and_allowed(
    tmp_path: Path, old: str, new: str, wording: list[str]
) -> None:
    assert old in GOOD
    text = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert str(tmp_path / "mps2-an386" / "board.toml") in text
    for part in wording:
        assert part in text


@pytest.mark.parametrize(
    ("old", "new", "wording"),
    [
        ("n = 40", "n = 20", ["clock_hz: given 80000000", "what [clock] makes, 40000000"]),
        ("n = 40\n", "", ["clock: n: missing; a PLL needs m, n and divide"]),
        ("[led]", "[led_]", ["led_: unknown key", "led, links"]),
        ('pin = "PB14"', 'pin = "PB16"', ["led.pin: given 'PB16'"]),
        ('clock = "PE9"\n', "", ["microphone: clock: microphone.kind = 'dfsdm' needs it"]),
        ('"0483:374b"', '"483:374b"', ["flash: usb: given '483:374b'; allowed: VENDOR:PRODUCT"]),
        ('tool = "pyocd"', 'tool = "qemu"', ["usb: needed for every tool but qemu"]),
        ("sources = ", "#", ["sources: missing; the C files of its driver"]),
        ("[chip]", "[links2]", ["links2: unknown key"]),
    ],
)
def test_errors_of_a_real_board(tmp_path: Path, old: str, new: str, wording: list[str]) -> None:
    good = (ROOT / "boards/b-l475e-iot01a/board.toml").read_text(encoding="utf-8")
    assert old in good
    text = refusal(tmp_path, good.replace(old, new, 1), "b-l475e-iot01a")
    assert str(tmp_path / "b-l475e-iot01a" / "board.toml") in text
    for part in wording:
        assert part in text


@pytest.mark.parametrize(
    ("code", "wording"),
    [
        ("RCC_CRR", "RCC_CRR: no register or field of STM32L4x5.svd; near: RCC_CR"),
        ("RCC_CR_PLLONN", "RCC_CR_PLLONN: no register or field"),
        ("void ws_on_DMA1_Channel9(void)", "no such interrupt; near: DMA1_Channel"),
    ],
)
def test_a_name_that_the_chip_does_not_have(code: str, wording: str) -> None:
    board = load_board("b-l475e-iot01a")
    chip = svd.load_chip("STM32L4x5.svd")
    with pytest.raises(BoardError, match=re.escape(wording)):
        svd.named(chip, board, [f'/* RCC_NONE */ const char *x = "RCC_NOR"; {code};'])


def test_an_svd_that_is_not_there() -> None:
    with pytest.raises(BoardError, match=r"given 'STM32L4x6.svd'; pyocd has .*STM32L4x5\.svd"):
        svd.load_chip("STM32L4x6.svd")


def test_the_register_header_holds_what_the_driver_names_and_no_more(tmp_path: Path) -> None:
    generate.generate("b-l475e-iot01a", tmp_path)
    header = (tmp_path / "board_registers.h").read_text(encoding="utf-8")
    assert "#define RCC_PLLCFGR 0x4002100Cu\n" in header
    assert "#define RCC_PLLCFGR_PLLN (0x7Fu << 8)\n" in header
    assert "#define USART1_BRR 0x4001380Cu\n" in header
    assert "#define WS_IRQ_DMA1_Channel5 15u\nvoid ws_on_DMA1_Channel5(void);" in header
    assert "USART2" not in header and header.count("#define") < 150
    vectors = (tmp_path / "board_vectors.c").read_text(encoding="utf-8")
    assert "(uintptr_t)ws_on_DMA1_Channel5, /* 15 */" in vectors
    assert "(uintptr_t)ws_unexpected_interrupt, /* 14 */" in vectors


def test_clusters_and_arrays_of_registers() -> None:
    """nRF: PSEL.TXD and the eight RR[n]; a base class's registers at the derived one's place."""
    chip = svd.load_chip("nrf52840.svd")
    assert chip.registers["UART0_PSEL_TXD"].address == 0x4000250C
    assert chip.registers["WDT_RR_7"].address == 0x4001061C
    assert chip.registers["P1_PIN_CNF_15"].address == 0x50000300 + 0x700 + 4 * 15
    assert chip.registers["PDM_SAMPLE_PTR"].address == 0x4001D560


def test_unknown_board_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "generate", "nowhere"]) == 1
    assert "mps2-an385, mps2-an386" in capsys.readouterr().err


def test_generated_files_hold_the_boards_facts_and_are_reproducible(tmp_path: Path) -> None:
    files = generate.generate("mps2-an386", tmp_path / "one")
    assert [path.name for path in files] == ["board.mk", "linker.ld", "board_facts.h"]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    assert "-mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16" in texts["board.mk"]
    assert "ram (rw) : ORIGIN = 0x20000000, LENGTH = 0x00400000" in texts["linker.ld"]
    for path in generate.generate("mps2-an386", tmp_path / "two"):
        assert path.read_text(encoding="utf-8") == texts[path.name]


def test_docs_are_up_to_date() -> None:
    made = pages.pages()
    for name, text in made.items():
        assert (ROOT / "docs" / name).read_text(encoding="utf-8") == text, "wakestate board docs"
    there = {f"boards/{path.name}" for path in (ROOT / "docs/boards").iterdir()}
    assert there | {"boards.md"} == set(made)


@pytest.mark.parametrize("board", REAL)
def test_the_picture_shows_every_wire(board: str) -> None:
    facts = load_board(board)
    root = ElementTree.fromstring(pages.picture(facts))
    tag = "{http://www.w3.org/2000/svg}text"
    texts = {str(element.text).split(" (")[0] for element in root.iter(tag)}
    assert facts.microphone and facts.led and facts.uart
    pins = {facts.microphone.clock, facts.microphone.data, facts.led.pin, facts.uart.tx}
    assert pins | {facts.uart.rx, *facts.state_pins} <= texts


def test_the_current_is_estimated_from_the_counts() -> None:
    found = pages.current(load_board("stm32f4-discovery"))
    assert found.instructions > 10_244_812  # the filter's, and the engine's
    mhz = found.instructions * 1.5 / 1e6
    assert found.total_ma == pytest.approx(mhz * 0.238 + 0.65)


@pytest.mark.parametrize("board", REAL)
def test_a_full_ring_is_emptied_within_one_window(board: str) -> None:
    """After an overrun: eight hops that wait, while new ones come in, by counted instructions."""
    facts = load_board(board)
    assert facts.clock_hz and facts.power
    second = pages.current(facts).instructions * pages.CYCLES_PER_INSTRUCTION / facts.clock_hz
    engine = second * (1 - facts.power.filter_instructions / pages.current(facts).instructions)
    assert 8 * engine / 100 / (1 - second) < 0.025
