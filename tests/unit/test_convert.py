# SPDX-License-Identifier: Apache-2.0
"""Generated C: the golden tree, and errors that say what to do."""

from __future__ import annotations

import difflib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.support.executors import ROOT, TOY
from wakestate.__main__ import main
from wakestate.contract.kernels import KERNELS, Kernels
from wakestate.convert.compile.emit import compile_variants
from wakestate.convert.emit import emit, generate
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.manifest import never_fires, set_thresholds
from wakestate.files import sha256
from wakestate.words import load_word
from wakestate.words.schema import Detector

GOLDEN = ROOT / "tests/golden"
FILES = (
    "ws_frontend.c",
    "ws_lfbe.h",
    "ws_toy.c",
    "ws_toy.h",
    "ws_words.c",
    "ws_words.h",
)
#: Of other sets than plain, the file that they change.
NETWORK = "ws_toy.c"
UPDATE = f"""for k in plain dsp dsp-wide mve; do
    wakestate model generate --word tests/toy/toy.toml --model tests/toy --kernels $k \\
        --without-copies --out build/golden/$k
    cp build/golden/$k/{NETWORK} tests/golden/$k
  done; cp build/golden/plain/* tests/golden/plain"""


@pytest.mark.parametrize(
    ("kernels", "name"),
    [*(("plain", name) for name in FILES), *((k, NETWORK) for k in KERNELS if k != "plain")],
)
def test_golden(name: str, kernels: Kernels) -> None:
    made = generate(TOY.word, TOY.word_path, TOY.folder, kernels)[name]
    path = GOLDEN / kernels / name
    golden = path.read_text(encoding="utf-8") if path.is_file() else ""
    diff = "".join(
        difflib.unified_diff(
            golden.splitlines(keepends=True),
            made.splitlines(keepends=True),
            f"tests/golden/{kernels}/{name}",
            "generated",
        )
    )
    assert not diff, f"{diff}\nIf the change is meant, update the golden tree:\n  {UPDATE}"


def test_golden_holds_nothing_else() -> None:
    assert sorted(p.name for p in GOLDEN.iterdir()) == sorted([*KERNELS, "compiled"])
    for kernels in KERNELS:
        names = {p.name for p in (GOLDEN / kernels).iterdir()}
        assert names == ({*FILES} if kernels == "plain" else {NETWORK})


def test_reproducible_and_left_untouched_when_the_same(tmp_path: Path) -> None:
    """Equal bytes wherever it is written; a second run does not touch the files (make)."""
    first = emit(TOY.word_path, TOY.folder, tmp_path / "a")
    second = emit(TOY.word_path, TOY.folder, tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    times = [p.stat().st_mtime_ns for p in first]
    assert [p.stat().st_mtime_ns for p in emit(TOY.word_path, TOY.folder, tmp_path / "a")] == times
    assert {p.name for p in (tmp_path / "a").iterdir()} == {*FILES, "kernels", "frontend"}


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the toy, word file and all, to be spoilt."""
    folder = tmp_path / "toy"
    shutil.copytree(TOY.folder, folder)
    return folder


def edit_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "model.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_word(folder: Path, old: str, new: str) -> None:
    path = folder / "toy.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def refused(folder: Path, *parts: str) -> None:
    """`convert c` fails, names every part, and writes nothing."""
    with pytest.raises(ConvertError) as caught:
        emit(folder / "toy.toml", folder, folder / "out")
    for part in parts:
        assert part in str(caught.value), f"{part!r} is not in: {caught.value}"
    assert not (folder / "out").exists()


def test_no_model(copied: Path) -> None:
    (copied / "model.json").unlink()
    refused(copied, "model.json: no such file", "wakestate model convert")


def test_missing_state_file(copied: Path) -> None:
    (copied / "toy_music.tflite").unlink()
    refused(copied, "toy_music.tflite: no such file", "wakestate model convert")


def test_changed_file(copied: Path) -> None:
    path = copied / "toy_music.tflite"
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(copied, "toy_music.tflite: sha256", "model.json has files.toy_music.tflite", "restore")


def test_other_vocabulary(copied: Path) -> None:
    edit_word(copied, '"music"', '"radio"')
    refused(copied, "model.json: metadata", "'music'", "'radio'", "train again")


@pytest.mark.parametrize("name", ["engine", "mute", "words", "frontend"])
def test_a_name_that_firmware_has(copied: Path, name: str) -> None:
    """ws_engine, ws_mute ... would be declared twice."""
    edit_word(copied, 'name = "toy"', f'name = "{name}"')
    (copied / "toy.toml").rename(copied / f"{name}.toml")
    with pytest.raises(ConvertError, match=f"name: '{name}' makes ws_{name}, .* hint: "):
        emit(copied / f"{name}.toml", copied, copied / "out")


def test_as_many_steps_are_averaged_as_a_word_file_may_ask_for(copied: Path) -> None:
    limits = Detector.model_fields["smoothing_steps"].metadata
    header = (ROOT / "firmware/include/wakestate/config.h").read_text(encoding="utf-8")
    allowed = max(bound.le for bound in limits if hasattr(bound, "le"))
    assert f"#define WS_SMOOTHING_MAX {allowed}\n" in header


def test_other_frontend(copied: Path) -> None:
    edit_word(copied, "low_hz = 60.0", "low_hz = 70.0")
    refused(copied, "model.json: frontend_hash", "[frontend]", "train again")


def test_other_network(copied: Path) -> None:
    edit_word(copied, "head_steps = 3", "head_steps = 4")
    refused(copied, "input [1, 19, 1, 8], 2 hops a step", "[model]")


def test_other_word(copied: Path) -> None:
    edit_json(copied, lambda m: m.update(word="other"))
    refused(copied, "model.json: word: is other, the word file has toy")


def test_other_schema(copied: Path) -> None:
    """One of an older version, which lacks what came later: only the schema is complained of."""
    edit_json(copied, lambda m: (m.update(schema=1), m.pop("endpoint_hops")))
    with pytest.raises(ConvertError) as caught:
        emit(copied / "toy.toml", copied, copied / "out")
    text = str(caught.value)
    assert "model.json: schema: given 1; this version reads 2" in text and "\n" not in text
    assert "train again with `wakestate train`" in text and "wakestate model convert" in text


def test_missing_field(copied: Path) -> None:
    edit_json(copied, lambda m: m.pop("thresholds"))
    refused(copied, "model.json: thresholds", "required")


def test_not_json(copied: Path) -> None:
    (copied / "model.json").write_text("{")
    refused(copied, "model.json: (file)", "JSON")


def test_other_logit_scale(copied: Path) -> None:
    edit_json(copied, lambda m: m["logit"].update(scale=0.5))
    refused(copied, "model.json: logit: is 0.5")


def test_threshold_out_of_range(copied: Path) -> None:
    edit_json(copied, lambda m: m["thresholds"].update({"player=idle": 9999}))
    refused(copied, "thresholds.player=idle: given 9999; allowed: -256 .. 255")


def test_threshold_of_an_unknown_state(copied: Path) -> None:
    edit_json(copied, lambda m: m["thresholds"].update({"player=off": 1}))
    refused(copied, "player=off", "allowed", "player=music")


def test_set_thresholds(copied: Path) -> None:
    word = load_word(copied / "toy.toml")
    set_thresholds(copied, word, {"player=music": never_fires(word), "player=idle": -7})
    text = generate(word, copied / "toy.toml", copied)["ws_toy.c"]
    assert "-7, /* player=idle */" in text and "255, /* player=music */" in text
    with pytest.raises(ConvertError, match="player=music: given 256; allowed"):
        set_thresholds(copied, word, {"player=music": 256, "player=idle": 0})


def change_tflite(path: Path, change: Callable[[Any], object]) -> None:
    """Rewrite a .tflite through the schema's object API; model.json follows."""
    import flatbuffers

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(path.read_bytes(), 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    path.write_bytes(bytes(builder.Output()))
    edit_json(path.parent, lambda m: m["files"].update({path.name: sha256(path)}))


def _unsupported_op(model: Any) -> None:
    code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
    code.builtinCode = schema.BuiltinOperator.CUMSUM
    code.deprecatedBuiltinCode = 127


def _same_padding(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.operators[1].builtinOptions.padding = schema.Padding.SAME
    shape = graph.tensors[graph.operators[1].inputs[0]].shape
    graph.tensors[graph.operators[1].outputs[0]].shape = shape
    del graph.operators[2:]
    graph.outputs = graph.operators[1].outputs


def _float_output(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].outputs[0]].type = schema.TensorType.FLOAT32


def _tiny_output_scale(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].outputs[0]].quantization.scale = [1e-9]


def _one_output(model: Any) -> None:
    """A network as older versions had it: the logit alone."""
    graph = model.subgraphs[0]
    last = graph.operators[-1]
    graph.tensors[last.outputs[0]].shape = [1, 1, 1, 1]
    weights, bias = (graph.tensors[i] for i in last.inputs[1:])
    weights.shape, bias.shape = [1, *weights.shape[1:]], [1]
    for tensor in (weights, bias):
        data = bytes(model.buffers[tensor.buffer].data)
        model.buffers[tensor.buffer].data = data[: len(data) // 3]
        tensor.quantization.scale = tensor.quantization.scale[:1]
        tensor.quantization.zeroPoint = tensor.quantization.zeroPoint[:1]


def _nameless(model: Any) -> None:
    graph = model.subgraphs[0]
    graph.tensors[graph.operators[0].outputs[0]].name = b"a/b;c"


def _huge_bias(model: Any) -> None:
    graph = model.subgraphs[0]
    buffer = graph.tensors[graph.operators[0].inputs[2]].buffer
    model.buffers[buffer].data = bytes([255, 255, 255, 127]) * 8


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (_unsupported_op, ["operator 1 (CUMSUM)", "not supported; hint: "]),
        (_same_padding, ["operator 1 (DEPTHWISE_CONV_2D)", "padding=SAME", "time is padded"]),
        (_float_output, ["operator 0 (CONV_2D)", "is INT8, its output FLOAT32", "equal types"]),
        (_one_output, ["output: INT8 [1, 1, 1, 1]", "[1, 1, 1, 3]", "train again"]),
        (_nameless, ["operator 0 (CONV_2D)", "'a/b;c'", "a name of a-z, 0-9 and _"]),
    ],
)
def test_unsupported_graph(copied: Path, change: Callable[[Any], object], parts: list[str]) -> None:
    for state in ("idle", "music"):
        change_tflite(copied / f"toy_{state}.tflite", change)
    refused(copied, "toy_idle.tflite", *parts)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (_huge_bias, ["first: kernel is ws_op_exact, in toy_idle.tflite ws_dot"]),
        (_tiny_output_scale, ["time0: weights 0 is 0, in toy_idle.tflite -127"]),
        (_one_output, ["logit: outputs is 1, in toy_idle.tflite 3"]),
    ],
)
def test_states_of_different_networks(
    copied: Path, change: Callable[[Any], object], parts: list[str]
) -> None:
    change_tflite(copied / "toy_music.tflite", change)
    refused(copied, "toy_music.tflite: ", "convert them in one run", *parts)


def test_states_with_different_weights(copied: Path) -> None:
    def flip(model: Any) -> None:
        buffer = model.subgraphs[0].tensors[model.subgraphs[0].operators[4].inputs[1]].buffer
        data = bytes(model.buffers[buffer].data)
        model.buffers[buffer].data = bytes([data[0] ^ 1]) + data[1:]

    change_tflite(copied / "toy_music.tflite", flip)
    refused(copied, "toy_music.tflite: mix1: weights 0 is -89, in toy_idle.tflite -90")


def test_not_a_tflite(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"not a flatbuffer")
    with pytest.raises(ConvertError, match=r"x\.tflite: not a \.tflite file"):
        compile_variants([path], "plain")


def test_command_line(tmp_path: Path, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = ["model", "generate", "--word", str(TOY.word_path)]
    arguments += ["--model", str(TOY.folder), "--out", str(out)]
    assert main(arguments) == 0
    assert {p.name for p in out.iterdir()} == {*FILES, "kernels", "frontend"}
    assert "state 124 bytes, arena 16 bytes" in capsys.readouterr().out
    arguments[3] = str(tmp_path / "none.toml")
    assert main(arguments) == 2
    assert "no such word file" in capsys.readouterr().err
    tflite = ["model", "convert", "--word", str(TOY.word_path), "--keras", "x.keras"]
    assert main([*tflite, "--calibration", "x.npy", "--out", str(tmp_path / "m")]) == 1
    assert "x.npy: not a readable .npy file" in capsys.readouterr().err
