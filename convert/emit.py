"""A model folder and its word file -> the generated C, from templates/.

What a template shows is worked out here; templates only loop and name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.errors import ConvertError
from convert.frontend import template_values
from convert.graph import Layer, Network, read_network
from convert.kernels import (
    Kernels,
    Packed,
    depthwise_bias,
    dot_bias,
    family,
    fill_row,
    pack_depthwise,
    pack_dot,
    shift_row,
    template_flags,
)
from convert.manifest import (
    NAME,
    SCHEMA,
    Logit,
    Manifest,
    check_manifest,
    deaf,
    sha256,
    state_file,
)
from convert.plan import Placed, Plan, plan
from convert.render import render, version, write_files
from words import Word, load_word

ROOT = Path(__file__).resolve().parent.parent
FILES = ("ws_model.h", "ws_frontend.c", "ws_kernels.h", "ws_network.c", "ws_model.c")
ROW_PARTS = ("bias", "multiplier", "shift")


def emit(word_path: Path, folder: Path, out: Path, kernels: Kernels = "plain") -> list[Path]:
    """Write the generated tree to `out`; files whose text is the same are left untouched."""
    word = load_word(word_path)
    return write_files(out, generate(word, word_path, folder, kernels))


def generate(
    word: Word, word_path: Path, folder: Path, kernels: Kernels = "plain"
) -> dict[str, str]:
    """Every generated file's text, by name."""
    manifest = check_manifest(folder, word)
    network = load_network(word, folder)
    _check_logit(folder, network, manifest.logit)
    layout = plan(network, kernels)
    header = _header(word_path, folder, kernels)
    thresholds = [manifest.thresholds[state] for state in word.states]
    values: dict[str, dict[str, object]] = {
        "ws_model.h": {
            "word": word,
            "schema": SCHEMA,
            "refractory": round(word.detector.refractory_s * word.frontend.sample_rate),
            "layers": len(network.layers),
            "arena_bytes": layout.arena_bytes,
            "logit": manifest.logit,
            "endpoint_q16": endpoint_q16(word, manifest),
            "deaf": deaf(word, manifest),
            "shortest": round(word.detector.shortest_s * word.frontend.sample_rate),
        },
        "ws_frontend.c": template_values(word.frontend),
        "ws_network.c": {
            "frontend_hash": manifest.frontend_hash[:8],
            "states": word.states,
            "layers": [_shown(i, network, layout, kernels) for i in range(len(network.layers))],
            "regions": _regions(layout),
            "bands": network.bands,
            "start": layout.start,
            "window": layout.placed[0].window,
            "keep": layout.keep,
            "macs": sum(layer.macs for layer in network.layers),
            "weights": sum(layer.weights.size for layer in network.layers),
        },
        "ws_kernels.h": kernel_values(network),
        "ws_model.c": {
            "states": word.states,
            "width": max(len(state) for state in word.states),
            "thresholds": thresholds,
            "logit": manifest.logit,
            "probability": probability(manifest.logit),
        },
    }
    shared = {"header": header, **template_flags(kernels)}
    templates = {"ws_kernels.h": f"ws_kernels_{family(kernels)}.h"}
    return {
        name: render(f"{templates.get(name, name)}.j2", **shared, **values[name]) for name in FILES
    }


def kernel_values(network: Network) -> dict[str, object]:
    """What the kernels of this network must cope with."""
    return {
        "any_shift": any(bool(np.any(layer.shift > -1)) for layer in network.layers),
        "clamps": any(layer.low != -128 for layer in network.layers),
        "signed_dots": _signed(network, "conv"),
        "signed_depthwise": _signed(network, "depthwise"),
    }


def _signed(network: Network, kind: str) -> bool:
    """Whether results below the output's zero point matter: not where it is the least output."""
    return any(layer.result.zero_point > -128 for layer in network.layers if layer.kind == kind)


def load_network(word: Word, folder: Path) -> Network:
    """The network of a model folder, all states, checked against the word file's shape."""
    files = [folder / state_file(word, state) for state in word.states]
    network = read_network(files)
    wanted = (word.model.receptive_hops, word.frontend.bands, word.model.stride)
    given = (network.hops, network.bands, network.stride)
    if given != wanted:
        raise ConvertError(
            f"{files[0]}: (hops, bands, stride) is {given}, [model] and [frontend] of the word "
            f"file make {wanted}; restore them or train anew"
        )
    source = network.layers[0].source
    if (source.scale, source.zero_point) != (1 / 32, 0):
        raise ConvertError(
            f"{files[0]}: input: scale {source.scale}, zero point {source.zero_point}; the front "
            "end gives 1/32 and 0: convert anew with `python -m convert tflite`"
        )
    last = network.layers[-1]
    if network.hops != _receptive(network):
        raise ConvertError(
            f"{files[0]}: {network.hops} hops in, {last.name} needs {_receptive(network)}"
        )
    return network


def probability(logit: Logit) -> NDArray[np.int64]:
    """Q15 sigmoid of every int8 logit, -128 first."""
    x = logit.scale * (np.arange(-128, 128) - logit.zero_point)
    return np.rint(32768 / (1 + np.exp(-x))).astype(np.int64)


def endpoint_q16(word: Word, manifest: Manifest) -> int:
    """Samples that one int8 step of START or END stands for, over the steps averaged, in Q16."""
    samples = manifest.logit.scale * manifest.endpoint_hops * word.frontend.hop_samples
    return round(samples / word.detector.smoothing_steps * 65536)


def _receptive(network: Network) -> int:
    first = network.layers[0]
    return sum(layer.span - 1 for layer in network.layers[1:]) * first.stride + first.taps


def _check_logit(folder: Path, network: Network, logit: Logit) -> None:
    result = network.layers[-1].result
    if (logit.scale, logit.zero_point) != (result.scale, result.zero_point):
        raise ConvertError(
            f"{folder / NAME}: logit: is {logit.scale}, {logit.zero_point}, the .tflite files have "
            f"{result.scale}, {result.zero_point}; convert anew with `python -m convert tflite`"
        )


def _header(word_path: Path, folder: Path, kernels: Kernels) -> str:
    """What stands in every file's first comment; the same on every machine."""
    lines = [
        f"Generated by Wakestate {version()}; not for editing.",
        f"  word   {_shown_path(word_path)}  sha256 {sha256(word_path)}",
        f"  model  {_shown_path(folder / NAME)}  sha256 {sha256(folder / NAME)}",
        f"  python -m convert c --word {_shown_path(word_path)} --model {_shown_path(folder)} "
        f"--kernels {kernels}",
    ]
    return "\n * ".join(lines)


def _shown_path(path: Path) -> str:
    """The path within the project, or only the name: no file knows the machine it was made on."""
    absolute = path.resolve()
    return absolute.relative_to(ROOT).as_posix() if absolute.is_relative_to(ROOT) else path.name


@dataclass(frozen=True)
class Region:
    """A named part of the arena."""

    name: str
    offset: int
    size: int
    note: str


@dataclass(frozen=True)
class Array:
    """A row of numbers per state, where states differ, each row only once."""

    name: str
    ctype: str
    rows: NDArray[np.int64]  # [rows, outputs]
    row_of_state: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """All states have the same row."""
        return len(self.rows) == 1

    def in_state(self, state: int) -> str:
        """C expression of one state's row."""
        return self.name if self.shared else f"{self.name}[{self.row_of_state[state]}]"


@dataclass(frozen=True)
class Shown:
    """One layer as the template shows it."""

    name: str
    layer: Layer
    note: str
    weights: Packed
    arrays: tuple[Array, ...]
    call: str  # the kernel call
    result: str  # C expression of the column written
    slides: Placed | None  # the layer after, if its window makes room first
    slides_name: str

    @property
    def shared(self) -> bool:
        """No device state changes this layer."""
        return all(array.shared for array in self.arrays)

    @property
    def length(self) -> int:
        """Inputs of one output: a contiguous dot product."""
        return self.layer.taps * self.layer.inputs

    def row(self, state: int) -> str:
        """C initializer of this layer's row in one state."""
        return ", ".join(array.in_state(state) for array in self.arrays)


def _regions(layout: Plan) -> list[Region]:
    regions = [
        Region(
            f"{p.layer.name.upper()}_WINDOW",
            p.window_offset,
            p.window_bytes,
            f"{p.window} columns of {p.layer.inputs}",
        )
        for p in layout.placed
        if p.window
    ]
    for letter, (offset, size) in zip("AB", layout.scratch, strict=False):
        regions.append(Region(f"SCRATCH_{letter}", offset, size, "one column, within a step"))
    offset, size = layout.kernel_scratch
    if size:
        regions.append(Region("KERNEL_SCRATCH", offset, size, "inputs as a kernel wants them"))
    return regions


def _where(offset: int, regions: list[Region]) -> str:
    """An arena offset as a C expression with the name of its region."""
    region = next(r for r in regions if r.offset <= offset < r.offset + r.size)
    rest = offset - region.offset
    return region.name + (f" + {rest}" if rest else "")


def _shown(index: int, network: Network, layout: Plan, kernels: Kernels) -> Shown:
    placed, layer, regions = layout.placed[index], network.layers[index], _regions(layout)
    after = layout.placed[index + 1] if index + 1 < len(layout.placed) else None
    bias = dot_bias(kernels, layer.folded_bias)
    if layer.kind == "depthwise":
        bias = depthwise_bias(kernels, layer.bias, layer.weights, layer.source.zero_point)
    parts = {"bias": bias, "multiplier": layer.multiplier, "shift": -layer.shift}
    depthwise = layer.kind == "depthwise"
    parts = {k: fill_row(kernels, v, depthwise=depthwise) for k, v in parts.items()}
    parts["shift"] = shift_row(kernels, parts["shift"])
    types = {"bias": "int32_t", "multiplier": "int32_t", "shift": "int8_t"}
    result = (
        "out"
        if placed.output_offset is None
        else f"arena + {_where(placed.output_offset, regions)}"
    )
    row = f"{layer.name}_row" if _shared(parts) else f"table->{layer.name}_row"
    source = f"arena + {_where(placed.input_offset, regions)}"
    given = [f"&{layer.name}_shape", f"&{row}", f"{layer.name}_weights", source, result]
    uses_scratch = layer.kind == "conv" and layout.kernel_scratch[1] > 0
    given.append("arena + KERNEL_SCRATCH" if uses_scratch else "NULL")
    slides = after if after is not None and after.window > 1 else None
    return Shown(
        name=layer.name,
        layer=layer,
        note=_note(layer),
        weights=_packed(layer, kernels),
        arrays=tuple(_array(f"{layer.name}_{p}", types[p], parts[p]) for p in ROW_PARTS),
        call=f"{'ws_dot' if layer.kind == 'conv' else 'ws_depthwise'}({', '.join(given)});",
        result=result,
        slides=slides,
        slides_name=f"{slides.layer.name.upper()}_WINDOW" if slides else "",
    )


def _shared(parts: dict[str, NDArray[np.int64]]) -> bool:
    return all(bool(np.all(rows == rows[0])) for rows in parts.values())


def _packed(layer: Layer, kernels: Kernels) -> Packed:
    if layer.kind == "depthwise":
        return pack_depthwise(kernels, layer.weights)
    return pack_dot(kernels, layer.weights.reshape(layer.outputs, -1))


def _array(name: str, ctype: str, rows: NDArray[np.int64]) -> Array:
    unique: list[bytes] = []
    order = []
    for row in rows:
        if row.tobytes() not in unique:
            unique.append(row.tobytes())
        order.append(unique.index(row.tobytes()))
    kept = np.stack([rows[order.index(i)] for i in range(len(unique))])
    return Array(name, ctype, kept, tuple(order))


def _note(layer: Layer) -> str:
    kind = "convolution" if layer.kind == "conv" else "depthwise"
    if layer.taps > 1:
        taps = f" over {layer.taps} columns"
    else:
        taps = ", 1x1" if layer.kind == "conv" else " over 1 column"
    gaps = f", each {layer.dilation} apart" if layer.dilation > 1 else ""
    relu = "; ReLU" if layer.low == layer.result.zero_point else ""
    return (
        f"{layer.name}: {kind}{taps}{gaps}, {layer.inputs} -> {layer.outputs}, "
        f"{layer.macs} MACs{relu}.\n"
        f" * In: scale {layer.source.scale:.6g}, zero point {layer.source.zero_point}. "
        f"Out: scale {layer.result.scale:.6g}, zero point {layer.result.zero_point}."
    )
