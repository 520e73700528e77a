# SPDX-License-Identifier: Apache-2.0
"""From Keras to .tflite: folding, scales, the two-input model. Needs TensorFlow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tensorflow")

import keras
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tests.support.compiled import TFLM
from tests.support.examples import typed_example
from tests.support.executors import EXECUTORS, TOY, Model, check_equal
from tests.support.make_toy import SEED, random_model, random_windows
from wakestate.__main__ import main
from wakestate.contract.metadata import ENDPOINT_HOPS, metadata_vectors
from wakestate.convert import export as export_module
from wakestate.convert.esphome import About, esphome_files
from wakestate.convert.export import export, set_thresholds
from wakestate.convert.features import network_input
from wakestate.convert.fold import fold, layer_names, plain_model, set_folded
from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.hostlib import Extractor
from wakestate.convert.manifest import check_manifest, never_fires
from wakestate.convert.reference import outputs as int8_outputs
from wakestate.convert.reference import read_network
from wakestate.train.data.manifest import DataError
from wakestate.train.model.network import build_model, load_network
from wakestate.words import Word, load_word


def float_outputs(model: keras.Model, word: Word, windows: np.ndarray, state: int) -> np.ndarray:
    features = windows[:, :, None, :].astype(np.float32) / 32
    metadata = np.repeat(metadata_vectors(word)[state : state + 1], len(windows), axis=0)
    return np.asarray(model([features, metadata]), np.float64)[:, 0, 0]


@pytest.fixture(scope="module")
def toy() -> keras.Model:
    model = build_model(TOY.word, TOY.word.model.receptive_hops)
    trained = keras.saving.load_model(TOY.folder / "toy.keras", compile=False)
    model.set_weights(trained.get_weights())
    return model


@pytest.mark.parametrize("state", [0, 1])
def test_folded_equals_conditional(toy: keras.Model, state: int) -> None:
    plain = plain_model(TOY.word, TOY.word.model.receptive_hops)
    set_folded(plain, fold(toy, TOY.word, metadata_vectors(TOY.word)[state]))
    windows = random_windows(TOY.word, 50, 1)
    outputs = plain(windows[:, :, None, :].astype(np.float32) / 32)
    assert set(outputs) == set(layer_names(TOY.word))
    expected = float_outputs(toy, TOY.word, windows, state)
    np.testing.assert_allclose(np.asarray(outputs["logit"])[:, 0, 0], expected, atol=2e-4)


def rms(error: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(error))))


def run_tflite(interpreter: Interpreter, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Dequantized outputs [n, 3]; int8 feeds are [n, ...], found by a part of the input's name."""
    interpreter.allocate_tensors()
    output = interpreter.get_output_details()[0]
    places = {
        part: next(d["index"] for d in interpreter.get_input_details() if part in d["name"])
        for part in feeds
    }
    found = []
    for i in range(len(feeds["features"])):
        for part, feed in feeds.items():
            interpreter.set_tensor(places[part], feed[i : i + 1])
        interpreter.invoke()
        found.append(interpreter.get_tensor(output["index"]).ravel().astype(float))
    scale, zero = output["quantization"]
    return scale * (np.asarray(found) - zero)


@pytest.mark.parametrize("state", [0, 1])
def test_int8_as_close_to_float_as_a_conversion_of_that_state_alone(
    toy: keras.Model, state: int
) -> None:
    """What sharing weight bytes and activation scales costs: at most a quarter more error."""
    windows = random_windows(TOY.word, 300, 2)
    expected = float_outputs(toy, TOY.word, windows, state)
    plain = plain_model(TOY.word, TOY.word.model.receptive_hops)
    set_folded(plain, fold(toy, TOY.word, metadata_vectors(TOY.word)[state]))
    given = network_input(TOY.word.frontend)
    calibration = export_module._corners(random_windows(TOY.word, 256, SEED), given)
    alone = export_module._convert(
        keras.Model(plain.inputs, plain.get_layer("logit").output), [calibration]
    )
    interpreter = Interpreter(
        model_content=alone, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    converted = run_tflite(interpreter, {"features": windows[:, :, None, :]})
    result = TOY.network.layers[-1].result
    ours = result.scale * (int8_outputs(TOY.network, state, windows) - float(result.zero_point))
    expected, converted, ours = expected[:, 0], converted[:, 0], ours[:, 0]
    assert rms(ours - expected) < 1.25 * rms(converted - expected)


@pytest.mark.parametrize("state", [0, 1])
def test_int8_endpoints_track_float_in_their_range(toy: keras.Model, state: int) -> None:
    """-2 .. receptive hops / ENDPOINT_HOPS is never cut off; what is beyond may saturate."""
    windows = random_windows(TOY.word, 300, 2)
    expected = float_outputs(toy, TOY.word, windows, state)[:, 1:]
    result = TOY.network.layers[-1].result
    low, high = (result.scale * (q - result.zero_point) for q in (-128, 127))
    assert low <= -2 + result.scale
    assert high >= TOY.word.model.receptive_hops / ENDPOINT_HOPS - result.scale
    ours = result.scale * (int8_outputs(TOY.network, state, windows) - float(result.zero_point))
    error = ours[:, 1:] - np.clip(expected, low, high)
    assert np.all(np.sqrt(np.mean(error**2, axis=0)) < 0.1 * expected.std(axis=0)), error.std(
        axis=0
    )


@pytest.mark.parametrize("state", [0, 1])
def test_two_input_tracks_float(toy: keras.Model, state: int) -> None:
    windows = random_windows(TOY.word, 200, 3)
    expected = float_outputs(toy, TOY.word, windows, state)
    interpreter = Interpreter(
        str(TOY.folder / "toy_two_input.tflite"),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    inputs = {d["name"]: d for d in interpreter.get_input_details()}
    features = next(d for name, d in inputs.items() if "features" in name)
    metadata = next(d for name, d in inputs.items() if "metadata" in name)
    assert features["quantization"] == (1 / 32, 0)
    scale, zero = metadata["quantization"]
    vector = np.rint(metadata_vectors(TOY.word)[[state]] / scale + zero).astype(np.int8)
    feeds = {"features": windows[:, :, None, :], "metadata": np.repeat(vector, len(windows), 0)}
    # Its MUL, ADD and MAXIMUM round to int8 each: it is coarser than the folded states.
    error = run_tflite(interpreter, feeds) - expected
    assert np.all(np.sqrt(np.mean(error**2, axis=0)) < 0.2 * expected.std(axis=0))


CORNERS = """
name = "corner"
phrase = "corner"
[frontend]
kind = "micro"
[metadata]
player = ["idle"]
[model]
first_kernel = 2
stride = 3
first_channels = 4
blocks = [{ kernel = 1, channels = 8 }, { kernel = 2, channels = 4, dilation = 3 }]
head_steps = 1
dense = 5
embedding = 2
metadata_dense = 2
[data]
positive = ["corner"]
"""


def exported(word: Word, path: Path, windows: NDArray[Any], out: Path) -> None:
    export(word, load_network(word, path), path, windows, out)


@pytest.fixture(scope="module")
def corner(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, keras.Model]:
    """Stride beyond the kernel, one-column layers, one state, microWakeWord's front end, a channel
    with no weights to speak of: a bias on it must not overflow."""
    folder = tmp_path_factory.mktemp("corner")
    (folder / "corner.toml").write_text(CORNERS)
    word = load_word(folder / "corner.toml")
    windows = random_windows(word, 64, SEED)
    model = random_model(word, 5, windows, momentum=0.7, calls=20)
    kernel, bias = model.get_layer("flat").get_weights()
    kernel[..., 0] *= 1e-12
    bias[0] = 0.7
    model.get_layer("flat").set_weights([kernel, bias])
    model.save(folder / "trained.keras")
    exported(word, folder / "trained.keras", windows, folder / "model")
    return Model(folder / "corner.toml", folder / "model"), model


@pytest.mark.parametrize("name", EXECUTORS)
def test_corners(corner: tuple[Model, keras.Model], name: str) -> None:
    model, _ = corner
    check_equal(model, 0, random_windows(model.word, 50, 5), EXECUTORS[name](model))


def test_corners_for_esphome(corner: tuple[Model, keras.Model], tmp_path: Path) -> None:
    """From sound on: the package's features as its model takes them, and TFLM's probabilities."""
    mww = pytest.importorskip("pymicro_wakeword", reason="needs the extra peers")
    model, _ = corner
    word = model.word
    shutil.copytree(model.folder, tmp_path / "model")
    set_thresholds(tmp_path / "model", word, {"player=idle": -90})
    for name, content in esphome_files(
        model.word_path, tmp_path / "model", About(), "again"
    ).items():
        (tmp_path / name).write_bytes(content)
    detector = mww.MicroWakeWord.from_config(tmp_path / "corner.json")
    pcm = np.random.default_rng(2).normal(0, 2000, 16000).astype(np.int16)
    found = mww.MicroWakeWordFeatures().process_streaming(pcm.tobytes())
    theirs = np.concatenate(list(found))[:, 0] / detector.input_scale + detector.input_zero_point
    columns = Extractor(word.frontend).features(pcm)
    assert np.array_equal(np.clip(np.round(theirs), -128, 127).astype(np.int8), columns)
    assert detector.stride == 3 and detector.sliding_window_size == word.detector.smoothing_steps
    # A window of 11 columns ends on a step where one column of silence is before the first.
    runs = np.concatenate([np.full((1, 40), -128, np.int8), columns])[: (len(columns) + 1) // 3 * 3]
    network = TFLM(tmp_path / "corner.tflite").run(
        [[[run[None]] for run in runs.reshape(-1, 3, 40)]]
    )
    hops, result = word.model.receptive_hops, model.network.layers[-1].result
    seen = np.concatenate([np.full((hops, 40), -128, np.int8), runs])
    windows = np.stack([seen[end : end + hops] for end in range(3, len(runs) + 1, 3)])
    logits = int8_outputs(model.network, 0, windows)[:, 0].astype(int)
    center = round(-90 / word.detector.smoothing_steps)
    wanted = np.rint(256 / (1 + np.exp(-result.scale * (logits - center)))).clip(0, 255)
    assert np.array_equal(np.array(network).ravel(), wanted) and len(set(wanted)) > 3


def test_corners_track_float(corner: tuple[Model, keras.Model]) -> None:
    model, trained = corner
    windows = random_windows(model.word, 200, 6)
    expected = float_outputs(trained, model.word, windows, 0)
    result = model.network.layers[-1].result
    found = result.scale * (int8_outputs(model.network, 0, windows) - float(result.zero_point))
    found, expected = found[:, 0], expected[:, 0]
    assert rms(found - expected) < 0.1 * np.std(expected) + 2 * result.scale


def test_thresholds_never_fire_until_set(corner: tuple[Model, keras.Model]) -> None:
    model, _ = corner
    manifest = check_manifest(model.folder, model.word)
    assert set(manifest.thresholds.values()) == {never_fires(model.word)}


def test_wrong_calibration_and_model(tmp_path: Path) -> None:
    word, out = TOY.word, tmp_path / "out"
    trained = TOY.folder / "toy.keras"
    windows = random_windows(word, 2, 1)
    with pytest.raises(ConvertError, match=r"calibration: windows of \(\d+, 7\)"):
        exported(word, trained, windows[..., :7], out)
    with pytest.raises(ConvertError, match="float32"):
        exported(word, trained, windows.astype(np.float32), out)
    with pytest.raises(DataError, match=r"none\.keras: no such file"):
        load_network(word, tmp_path / "none.keras")
    other = word.model_copy(update={"model": word.model.model_copy(update={"dense": 7})})
    with pytest.raises(DataError, match=r"toy\.keras: does not hold the network"):
        load_network(other, trained)
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports(tmp_path: Path) -> None:
    np.save(tmp_path / "calibration.npy", random_windows(TOY.word, 256, SEED))
    files = {
        "runs/alexa/model.keras": TOY.folder / "toy.keras",
        "runs/alexa/calibration.npy": tmp_path / "calibration.npy",
        "runs/alexa/model": tmp_path / "model",
    }
    assert main([*typed_example("model convert", files), "--word", str(TOY.word_path)]) == 0
    made = check_manifest(tmp_path / "model", TOY.word)
    assert set(made.thresholds.values()) == {never_fires(TOY.word)}
    windows = random_windows(TOY.word, 50, 1)
    network = read_network(TOY.word, tmp_path / "model")
    found, expected = (int8_outputs(n, 0, windows).astype(int) for n in (network, TOY.network))
    assert np.abs(found - expected).max() <= 2  # floats are rounded as the processor does


def test_failed_export_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> bytes:
        raise RuntimeError("killed")

    monkeypatch.setattr(export_module, "_two_input", fails)
    out = tmp_path / "model"
    out.mkdir()
    (out / "card.md").write_text("kept")
    with pytest.raises(RuntimeError, match="killed"):
        exported(TOY.word, TOY.folder / "toy.keras", random_windows(TOY.word, 2, 1), out)
    assert [p.name for p in tmp_path.rglob("*")] == ["model", "card.md"]
