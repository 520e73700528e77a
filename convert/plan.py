"""Where every byte of the arena goes: the columns each layer keeps, and scratch.

A layer that looks at more than one column keeps a window of them; the layer before writes its
new column straight to the window's end. A layer that looks at one column reads scratch, which
two buffers share in turn, since a column is read by the very next layer.

The first window holds hops and is filled from `start`; a step is due when it is full, then
`stride` hops are dropped:

    first kernel 5, stride 3:   [0 1 2 3 4] -> step -> [3 4 . . .] -> [3 4 5 6 7] -> step -> ...
"""

from __future__ import annotations

from dataclasses import dataclass

from convert.graph import Layer, Network
from convert.kernels import Kernels, scratch_bytes


@dataclass(frozen=True)
class Placed:
    """One layer, the offset of its newest window of input, and where its output goes."""

    layer: Layer
    input_offset: int  # first byte of the columns it reads
    output_offset: int | None  # None: the network's outputs
    window: int  # columns kept, 0 when it reads scratch
    window_offset: int

    @property
    def window_bytes(self) -> int:
        """Bytes of arena that the window takes."""
        return self.window * self.layer.inputs


@dataclass(frozen=True)
class Plan:
    """The arena and the phase of the first window."""

    placed: tuple[Placed, ...]
    scratch: tuple[tuple[int, int], ...]  # (offset, bytes)
    kernel_scratch: tuple[int, int]  # (offset, bytes), for the kernels
    arena_bytes: int
    start: int  # hops that count as already there after a reset
    keep: int  # hops that stay in the first window after a step


def plan(network: Network, kernels: Kernels = "plain") -> Plan:
    """Lay out the arena; its size is exact."""
    layers = network.layers
    windows = [layer.span if layer.span > 1 else 0 for layer in layers]
    first = layers[0]
    windows[0] = max(first.taps, first.stride)
    offsets, end = [], 0
    for layer, columns in zip(layers, windows, strict=True):
        offsets.append(end)
        end += columns * layer.inputs
    reads, scratch = _scratch(layers, windows, end)
    end += sum(size for _, size in scratch)
    kernel_scratch = (-(-end // 4) * 4, _kernel_scratch(network, kernels))
    end = kernel_scratch[0] + kernel_scratch[1] if kernel_scratch[1] else end
    placed = []
    for i, layer in enumerate(layers):
        newest = offsets[i] + (windows[i] - layer.span) * layer.inputs
        read = newest if windows[i] else reads[i]
        write: int | None = None
        if i + 1 < len(layers):
            after = layers[i + 1]
            last = offsets[i + 1] + (windows[i + 1] - 1) * after.inputs
            write = last if windows[i + 1] else reads[i + 1]
        placed.append(Placed(layer, read, write, windows[i], offsets[i]))
    return Plan(
        placed=tuple(placed),
        scratch=scratch,
        kernel_scratch=kernel_scratch,
        arena_bytes=end,
        start=windows[0] - first.taps,
        keep=windows[0] - first.stride,
    )


def _kernel_scratch(network: Network, kernels: Kernels) -> int:
    dots = (layer for layer in network.layers if layer.kind == "conv")
    return max(
        scratch_bytes(kernels, layer.taps * layer.inputs, layer.outputs, 1, gathers=False)
        for layer in dots
    )


def _scratch(
    layers: tuple[Layer, ...], windows: list[int], base: int
) -> tuple[dict[int, int], tuple[tuple[int, int], ...]]:
    """(layer that reads scratch -> offset, buffers): buffer A or B in turn along a chain."""
    turn: dict[int, int] = {}
    for i in range(1, len(layers)):
        if not windows[i]:
            turn[i] = 1 - turn[i - 1] if i - 1 in turn else 0
    sizes = [max((layers[i].inputs for i, t in turn.items() if t == b), default=0) for b in (0, 1)]
    starts = [base, base + sizes[0]]
    buffers = tuple((s, n) for s, n in zip(starts, sizes, strict=True) if n)
    return {i: starts[t] for i, t in turn.items()}, buffers
