"""Kernel sets: which of a core's instructions the generated C uses, and how it wants its weights.

`plain` is portable C, for every core and the host; `dsp` uses the DSP extension (Cortex-M4, M7,
M33: SMLAD, SXTB16 ...); `mve` uses Helium (M55). The bits that come out are the same. Each set is
one template, templates/ws_kernels_SET.h.j2; what a kernel reads lies in flash in the order in
which its loop reads it, so each layout stands here once and in that template's comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Kernels = Literal["plain", "dsp", "mve"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)

#: Outputs that a dot product loop makes at once; their weights lie interleaved.
TILE = 4
#: Inputs of one output that lie together in a tile: one, a word, a vector.
GROUP: dict[Kernels, int] = {"plain": 1, "dsp": 1, "mve": 1}


@dataclass(frozen=True)
class Packed:
    """A table of weights in reading order."""

    ctype: str  # int8_t or int16_t
    values: NDArray[np.int64]

    @property
    def bytes(self) -> int:
        return self.values.size * (2 if self.ctype == "int16_t" else 1)


def pack_dot(kernels: Kernels, weights: NDArray[np.int8]) -> Packed:
    """int8[outputs, length] for ws_dot and ws_conv.

    Tiles of four outputs; in a tile, group by group of inputs, the group's weights in each of the
    four outputs. The length is filled up with zeros to whole groups. Outputs that make no whole
    tile follow, row by row.
    """
    outputs, length = weights.shape
    group = GROUP[kernels]
    groups = -(-length // group)
    padded = np.zeros((outputs, groups * group), np.int64)
    padded[:, :length] = weights
    whole = outputs // TILE * TILE
    tiles = padded[:whole].reshape(whole // TILE, TILE, groups, group).transpose(0, 2, 1, 3)
    return Packed("int8_t", np.concatenate([tiles.reshape(-1), padded[whole:].reshape(-1)]))


def pack_depthwise(kernels: Kernels, weights: NDArray[np.int8]) -> Packed:
    """int8[taps, channels] for ws_depthwise.

    plain, mve: as they are. dsp: groups of four channels, tap by tap, as int16 in the order
    0, 2, 1, 3, which is that of SXTB16; then the channels that make no whole group, one by one.
    """
    return Packed("int8_t", weights.astype(np.int64).reshape(-1))


def scratch_bytes(kernels: Kernels, length: int, pixels: int, *, gathers: bool) -> int:
    """Scratch of ws_dot (`gathers` false) or ws_conv over `length` inputs an output.

    dsp widens the inputs of up to two pixels to int16; the others gather one patch as it is.
    """
    padded = -(-length // GROUP[kernels]) * GROUP[kernels]
    return padded if gathers else 0
