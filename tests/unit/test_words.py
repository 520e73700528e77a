# SPDX-License-Identifier: Apache-2.0
"""words/*.toml: they load, and whatever is wrong in one is named with file, key, given, allowed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from wakestate.words import Word, WordError, load_word
from wakestate.words.schema import page

ROOT = Path(__file__).resolve().parents[2]
WORDS = sorted((ROOT / "words").glob("*.toml"))

TEXT = """
name = "beep"
phrase = "beep"

[frontend]
bands = 16

[metadata]
player = ["idle", "music", "alarm"]
volume = ["low", "high"]

[model]
first_kernel = 3
stride = 2
first_channels = 8
blocks = [{ kernel = 3, channels = 8 }, { kernel = 5, channels = 12, dilation = 2 }]
head_steps = 4
dense = 6
embedding = 3
metadata_dense = 4

[detector]
smoothing_steps = 2

[data]
positive = ["beep"]
"""


def load(folder: Path, text: str = TEXT) -> Word:
    path = folder / "beep.toml"
    path.write_text(text, encoding="utf-8")
    return load_word(path)


def refused(folder: Path, text: str) -> str:
    """The error without the path that it must begin with."""
    assert text != TEXT
    with pytest.raises(WordError) as error:
        load(folder, text)
    start = f"{folder / 'beep.toml'}: "
    lines = str(error.value).splitlines()
    assert all(line.startswith(start) for line in lines)
    return "\n".join(line.removeprefix(start) for line in lines)


@pytest.mark.parametrize("path", WORDS, ids=[p.stem for p in WORDS])
def test_every_word_file_loads(path: Path) -> None:
    word = load_word(path)
    assert word.name == path.stem
    assert len(word.states) == len(set(word.states)) >= 1


def test_there_are_word_files() -> None:
    assert "alexa" in [p.stem for p in WORDS]


def test_values_and_defaults(tmp_path: Path) -> None:
    word = load(tmp_path)
    assert (word.frontend.bands, word.frontend.hop_samples) == (16, 160)
    assert word.model.blocks[0].dilation == 1
    assert word.data.positive == ("beep",)
    assert word.acoustics.level_dbfs == (-50.0, -15.0)
    # A whole number is good where a fraction is allowed.
    assert load(tmp_path, TEXT.replace("bands = 16", "low_hz = 100")).frontend.low_hz == 100.0


@pytest.mark.parametrize(
    ("size", "kilobytes", "million"),
    [("small", 40, 1.2), ("medium", 110, 3.6), ("large", 260, 8.4)],
)
def test_sizes_hold_their_limits(tmp_path: Path, size: str, kilobytes: int, million: float) -> None:
    text = f'name = "beep"\nphrase = "beep"\ndata.positive = ["beep"]\nmodel.size = "{size}"\n'
    word = load(tmp_path, text)
    m, channels = word.model, word.model.first_channels
    weights = m.first_kernel * word.frontend.bands * channels
    for block in m.blocks:
        weights += channels * (block.kernel + block.channels)
        channels = block.channels
    weights += m.head_steps * channels * m.dense + 3 * (m.dense + m.metadata_dense)
    assert 0.85 * kilobytes < weights / 1000 < kilobytes
    steps = 16000 / word.frontend.hop_samples / m.stride
    assert 0.9 * million < weights * steps / 1e6 < million
    # What the file gives goes before the size; the size itself is in no run and no model.
    own = load(tmp_path, text + "model.dense = 20\n").model
    assert own == m.model_copy(update={"dense": 20}) and "size" not in own.model_dump()


def test_states_in_table_order_the_default_first(tmp_path: Path) -> None:
    assert load(tmp_path).states == (
        "player=idle,volume=low",
        "player=idle,volume=high",
        "player=music,volume=low",
        "player=music,volume=high",
        "player=alarm,volume=low",
        "player=alarm,volume=high",
    )
    one = TEXT.replace('player = ["idle", "music", "alarm"]\nvolume = ["low", "high"]', 'a = ["b"]')
    assert load(tmp_path, one).states == ("a=b",)


def test_metadata_has_a_default(tmp_path: Path) -> None:
    text = re.sub(r"\[metadata\]\n.*\n.*\n", "", TEXT)
    assert load(tmp_path, text).states[3] == "player=music,volume=high"
    assert len(load(tmp_path, text).states) == 8


def test_receptive_hops(tmp_path: Path) -> None:
    # 4 head steps + 2 of the first block + 4 * 2 of the second = 14 steps of 2 hops, the first
    # of which sees 3.
    assert load(tmp_path).model.receptive_hops == (14 - 1) * 2 + 3
    small = TEXT.replace(", { kernel = 5, channels = 12, dilation = 2 }", "")
    small = small.replace("head_steps = 4", "head_steps = 1").replace(
        "{ kernel = 3", "{ kernel = 1"
    )
    small = small.replace("first_kernel = 3", "first_kernel = 5")
    assert load(tmp_path, small).model.receptive_hops == 5  # one step: what the first layer sees


ACOUSTICS = "[acoustics]\n"
WRONG = [
    # unknown keys, at every depth
    (
        "phrase",
        "phrse",
        "phrse: unknown key; allowed: acoustics, data, detector, frontend, metadata, mod",
    ),
    ("bands = 16", "bnads = 16", "frontend.bnads: unknown key; allowed: bands, db_per_step"),
    ("kernel = 5", "krenel = 5", "model.blocks.1.krenel: unknown key; allowed: channels, dil"),
    ("positive", "postive", "data.postive: unknown key; allowed: carriers, confusable_rec"),
    # types: nothing is bent into shape
    ("bands = 16", 'bands = "16"', "frontend.bands: given '16'; allowed: .*valid integer"),
    ("bands = 16", "bands = 16.0", "frontend.bands: given 16.0; allowed: .*valid integer"),
    ("bands = 16", "bands = true", "frontend.bands: given True; allowed: .*valid integer"),
    ("bands = 16", "bands = 2026-11-24", "frontend.bands: given '2026-11-24'; allowed: "),
    ("bands = 16", 'low_hz = "60"', "frontend.low_hz: given '60'; allowed: .*valid number"),
    ('phrase = "beep"', "phrase = 7", "phrase: given 7; allowed: .*valid string"),
    ('positive = ["beep"]', 'positive = "beep"', "data.positive: given 'beep'; allowed: .*array"),
    ("smoothing_steps = 2", "smoothing_steps = [2]", r"detector.smoothing_steps: given \[2\]; all"),
    ("channels = 12", 'channels = "x"', "model.blocks.1.channels: given 'x'; allowed: "),
    # ranges
    ("bands = 16", "bands = 4", "frontend.bands: given 4; allowed: .*greater than or equal to 8"),
    ("bands = 16", "bands = 81", "frontend.bands: given 81; allowed: .*less than or equal to 80"),
    ("bands = 16", "sample_rate = 8000", "frontend.sample_rate: given 8000; allowed: .*16000"),
    (
        "smoothing_steps = 2",
        "shortest_s = 9.5",
        "detector.shortest_s: given 9.5; allowed: below the ",
    ),
    ("bands = 16", "low_hz = nan", "frontend.low_hz: given nan; allowed: .*finite"),
    ("channels = 12", "channels = 6", "blocks.1.channels: given 6; allowed: .*multiple of 4"),
    ("dilation = 2", "dilation = 9", "blocks.1.dilation: given 9; allowed: .*equal to 8"),
    ("stride = 2", "stride = 0", "model.stride: given 0; allowed: .*greater than or equal to 1"),
    ('phrase = "beep"', 'phrase = ""', "phrase: given ''; allowed: .*at least 1 char"),
    (
        "stride = 2",
        'size = "huge"',
        "model.size: given 'huge'; allowed: .*'small', 'medium' or 'large'",
    ),
    (
        "stride = 2",
        "size = [2]",
        r"model.size: given \[2\]; allowed: .*'small', 'medium' or 'large'",
    ),
    ('positive = ["beep"]', "positive = []", r"data.positive: given \[\]; allowed: .*at least 1"),
    # fields that must fit each other
    ("bands = 16", "hop_samples = 401", "hop_samples: given 401; allowed: up to window_samples, 4"),
    (
        "bands = 16",
        "low_hz = 2e3\nhigh_hz = 1e3",
        "low_hz: given 2000; allowed: below high_hz, 1000",
    ),
    (
        "[data]",
        ACOUSTICS + "level_dbfs = [-15, -50]\n[data]",
        r"level_dbfs: given \[-15.0, -50.0\]; ",
    ),
    ("[data]", ACOUSTICS + "noise_snr_db = [1]\n[data]", "acoustics.noise_snr_db.1: missing"),
    (
        "[data]",
        ACOUSTICS + "rt60_s = [1, 2, 3]\n[data]",
        "acoustics.rt60_s: given .*at most 2 items",
    ),
    (
        "[data]",
        ACOUSTICS + "wrong_state = 2\n[data]",
        "wrong_state: given 2; .*less than or equal to 1",
    ),
    (
        "[data]",
        ACOUSTICS + "signal_to_echo_db = { loud = [0, 5] }\n[data]",
        "acoustics.signal_to_echo_db: given loud; allowed: a range for each of metadata.volume: ",
    ),
    # missing
    ('phrase = "beep"\n', "", "phrase: missing; the key is required"),
    ("kernel = 5, ", "", "model.blocks.1.kernel: missing"),
    ('[data]\npositive = ["beep"]', "", "data: missing; the key is required"),
    # vocabulary
    ('"music"', '"Music"', "metadata.player.1: given 'Music'; allowed: .*pattern"),
    ('"music"', '"a,b=c"', "metadata.player.1: given 'a,b=c'; allowed: .*pattern"),
    ('"music"', '"idle"', r"metadata.player: given \['idle', 'idle', 'alarm'\]; allowed: .*once"),
    ("volume =", '"the volume" =', "metadata.the volume: given 'the volume'; allowed: .*pattern"),
    ('["low", "high"]', "[]", r"metadata.volume: given \[\]; allowed: at least one value"),
    (
        '["low", "high"]',
        str([f"v{i}" for i in range(22)]),
        "metadata gives 66 states; at most 64 are allowed",
    ),
    # the file itself
    ('name = "beep"', 'name = "boop"', "name: given 'boop'; allowed: 'beep', as the file"),
    ('name = "beep"', 'name = "Be ep"', "name: given 'Be ep'; allowed: .*pattern"),
    ('name = "beep"', "name = beep", "not valid TOML: .*line 2"),
    ("[data]", "[model]", "not valid TOML: .*model"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG)
def test_a_wrong_field_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert re.search(message, refused(tmp_path, TEXT.replace(old, new, 1)))


def test_every_wrong_field_gets_its_line(tmp_path: Path) -> None:
    text = TEXT.replace("bands = 16", "bands = 1").replace("dense = 6", "dense = 1000")
    lines = refused(tmp_path, text).splitlines()
    assert [line.split(":")[0] for line in lines] == ["frontend.bands", "model.dense"]


def test_every_volume_needs_its_echo(tmp_path: Path) -> None:
    other = TEXT.replace('["low", "high"]', '["soft", "loud"]')
    assert "given low, high; allowed: a range for each of" in refused(tmp_path, other)
    echo = ACOUSTICS + "signal_to_echo_db = { soft = [0.0, 9.0], loud = [-9.0, 0.0] }\n[data]"
    assert load(tmp_path, other.replace("[data]", echo)).states[1].endswith("volume=loud")


def test_a_missing_file_lists_those_there_are(tmp_path: Path) -> None:
    load(tmp_path)
    with pytest.raises(WordError, match=r"bep.toml: no such word file \(in this folder: beep\)"):
        load_word(tmp_path / "bep.toml")
    with pytest.raises(WordError, match=r"\(in this folder: none\)"):
        load_word(tmp_path / "nowhere" / "beep.toml")


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WordError, match="cannot be read: Is a directory"):
        load_word(tmp_path)
    (tmp_path / "beep.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(WordError, match="not valid TOML"):
        load_word(tmp_path / "beep.toml")


@pytest.mark.parametrize("evil", ["a\nb", "\x1b[31m", "\u202e", "\0", "x\u2028y", "\ud7ff\x85"])
@pytest.mark.parametrize("key", ["phrase", "name", "field", "carriers", "confusables", "unknown"])
def test_refusals_are_one_line_without_control_characters(
    tmp_path: Path, key: str, evil: str
) -> None:
    escaped = json.dumps(evil + " {}" if key == "carriers" else evil)
    text = (ROOT / "words/alexa.toml").read_text()
    if key in ("phrase", "name"):
        text = re.sub(rf"^{key} = .*$", lambda _: f"{key} = {escaped}", text, flags=re.MULTILINE)
    elif key == "field":
        text += f'\n[metadata]\n{escaped} = ["a"]\n'
    elif key == "unknown":
        text += f"\n[detector.{escaped}]\n"
    else:
        text = re.sub(rf"^{key} = ", "old = ", text, flags=re.MULTILINE)
        text = text.replace("[data]\n", f"[data]\n{key} = [{escaped}]\n", 1)
    path = tmp_path / "alexa.toml"
    path.write_text(text)
    with pytest.raises(WordError) as error:
        load_word(path)
    lines = str(error.value).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) == 1 or (key == "confusables" and len(lines) == 2)  # "old" is unknown as well


def test_the_reference_has_every_key_and_is_up_to_date() -> None:
    text = (ROOT / "docs/words.md").read_text(encoding="utf-8")
    assert text == page(), "wakestate word docs"
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| `")]
    keys = {row[0].strip("| `") for row in rows}
    assert {"shortest_s", "say", "dilation", "tempo"} <= keys
    assert "| `stride` | integer, from 1, up to 8 | `3` | hops per network step |" in text
    # All that is no table of its own says what it means.
    assert [row[0] for row in rows if row[1] != "a table, below" and row[3] == "|"] == []
