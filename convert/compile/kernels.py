# SPDX-License-Identifier: Apache-2.0
"""Kernel sets: which of a core's instructions the generated C uses, and the layout of its weights.

`plain` is portable C, for every core and the host; `dsp` uses the DSP extension (Cortex-M4, M7,
M33: SMLAD, SXTB16 ...), and `dsp-wide` keeps its weights as int16, which takes twice the flash and
saves their widening; `mve` uses Helium (M55). The bits that come out are the same. Each family of
sets is firmware/kernels/FAMILY.h; what a kernel reads is in flash in the order in which its loop
reads it, so each layout is here once and in the comments there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wakestate.contract.kernels import Family, Kernels, family
from wakestate.convert.compile.program import Table

if TYPE_CHECKING:
    from wakestate.convert.compile.window import Window

#: Inputs of one output are filled up with zeros to a multiple of this.
_MULTIPLE: dict[Family, int] = {"plain": 1, "dsp": 8, "mve": 16}


def kernel_macros(
    *,
    any_shift: bool,
    clamps: bool,
    signed_dots: bool,
    signed_depthwise: bool,
    careful_depthwise: bool = False,
    halves_up: bool = False,
    lefts: Mapping[str, bool] | None = None,
    window_type: str = "uint8_t",
    size_type: str = "uint16_t",
) -> list[tuple[str, str]]:
    """What a model's C defines of firmware/kernels/config.h: where it needs less than all, and
    `halves_up`.

    `lefts`: of its operators mul, prelu and squared_difference, whether they scale to the left.
    """
    flags = {
        "ANY_SHIFT": any_shift,
        "CLAMPS": clamps,
        "SIGNED_DOTS": signed_dots,
        "SIGNED_DEPTHWISE": signed_depthwise,
        "CAREFUL_DEPTHWISE": careful_depthwise,
        **{f"LEFT_{op.upper()}": left for op, left in sorted((lefts or {}).items())},
    }
    types = {"SIZE_TYPE": size_type, "WINDOW_TYPE": window_type}
    found = [(f"WS_{name}", "0") for name, needed in flags.items() if not needed]
    found += [("WS_HALVES_UP", "1")] if halves_up else []
    return found + [(f"WS_{name}", ctype) for name, ctype in types.items() if ctype != "int32_t"]


#: Inputs that dsp takes at once: its WS_BLOCK.
_BLOCK = 512


def needs_width(kernels: Kernels, weights: NDArray[np.int8]) -> bool:
    """The weights int8[outputs, length] are for ws_dot_wide or ws_conv_wide: dsp's pairs do not
    hold them, or the set is dsp-wide, which has no pairs.

    A -128 in the second of two outputs, 256 B + A, is below int16, or makes its sum reach 2^23.
    """
    return kernels == "dsp-wide" or (kernels == "dsp" and bool(np.any(weights[1::2] == -128)))


def pack_one(weights: NDArray[np.int8]) -> Table:
    """int8[1, length] for dsp's ws_dot_one: bytes in order."""
    return Table("weights", "int8_t", weights.astype(np.int64).reshape(-1))


def needs_care(kernels: Kernels, weights: NDArray[np.int8]) -> bool:
    """mve's fastest depthwise loop must not be used for weights int8[taps, channels].

    It adds two products as int16, which two weights of -128 in a channel overflow.
    """
    return kernels == "mve" and bool(np.any((weights == -128).sum(axis=0) > 1))


def pack_dot(kernels: Kernels, weights: NDArray[np.int8], *, wide: bool) -> Table:
    """int8[outputs, length] for ws_dot and ws_conv, or, `wide`, for ws_dot_wide and ws_conv_wide.

    plain: tiles of four outputs; in a tile, input by input its weights in each of the four; outputs
    that make no whole tile follow, row by row. dsp: see `_pairs`. mve: row by row, filled up with
    zeros to whole vectors. `wide` is that of `needs_width`.
    """
    outputs, length = weights.shape
    padded = np.zeros((outputs, _padded(kernels, length)), np.int64)
    padded[:, :length] = weights
    if family(kernels) == "dsp":
        return Table("weights", "int8_t", _pairs(padded, widen=wide))
    if kernels == "mve":
        return Table("weights", "int8_t", padded.reshape(-1))
    whole = outputs // 4 * 4
    tiles = padded[:whole].reshape(whole // 4, 4, length).transpose(0, 2, 1)
    return Table(
        "weights", "int8_t", np.concatenate([tiles.reshape(-1), padded[whole:].reshape(-1)])
    )


def _pairs(weights: NDArray[np.int64], *, widen: bool) -> NDArray[np.int64]:
    """Rows two by two, A and B: int16 A + 256 B of the inputs 0, 2, 1, 3, 4, 6, 5, 7 ..., as bytes.

    The order is that in which SXTB16 widens inputs; an odd last row goes with zeros. Widened: int16
    A of two inputs in this order, then B of them.
    """
    outputs, length = weights.shape
    rows = np.zeros((-(-outputs // 2), 2, length), np.int64)
    rows.reshape(-1, length)[:outputs] = weights
    order = rows.reshape(len(rows), 2, -1, 4)[:, :, :, [0, 2, 1, 3]]
    if widen:
        words = order.reshape(len(rows), 2, -1, 2).transpose(0, 2, 1, 3)
    else:
        words = order[:, 0] + 256 * order[:, 1]
    return np.frombuffer(words.astype("<i2").tobytes(), np.int8).astype(np.int64)


def pack_depthwise(kernels: Kernels, weights: NDArray[np.int8]) -> Table:
    """int8[taps, channels] for ws_depthwise.

    plain: as they are. dsp, doubled: groups of four channels, tap by tap, as int16 in the order
    0, 2, 1, 3, which is that of SXTB16; then the channels that make no whole group, one by one.
    mve: groups of sixteen channels, filled up with zeros, tap by tap.
    """
    taps, channels = weights.shape
    if kernels == "plain":
        return Table("weights", "int8_t", weights.astype(np.int64).reshape(-1))
    if kernels == "mve":
        filled = np.pad(weights.astype(np.int64), ((0, 0), (0, -channels % 16)))
        return Table(
            "weights", "int8_t", filled.reshape(taps, -1, 16).transpose(1, 0, 2).reshape(-1)
        )
    whole = channels // 4 * 4
    groups = weights[:, :whole].astype(np.int64).reshape(taps, whole // 4, 4)
    groups = groups[:, :, [0, 2, 1, 3]].transpose(1, 0, 2)
    rest = weights[:, whole:].astype(np.int64).T
    return Table("weights", "int16_t", 2 * np.concatenate([groups.reshape(-1), rest.reshape(-1)]))


def dot_bias(kernels: Kernels, bias: NDArray[np.int64]) -> NDArray[np.int64]:
    """[..., outputs] for ws_dot and ws_conv, of bias with the input's zero point folded in.

    dsp keeps sums doubled.
    """
    return 2 * bias if family(kernels) == "dsp" else bias


def depthwise_bias(
    kernels: Kernels,
    bias: NDArray[np.int64],
    weights: NDArray[np.int8],
    zero_point: int,
) -> NDArray[np.int64]:
    """[..., channels] for ws_depthwise, weights int8[taps, channels].

    plain, dsp: not folded, since they take the input's zero point off each input; dsp doubled.
    mve: the zero point is folded in, b - z sum(w).
    """
    if kernels != "mve":
        return dot_bias(kernels, bias)
    return bias - zero_point * weights.astype(np.int64).sum(axis=0)


def shift_row(kernels: Kernels, right: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shifts [..., outputs] to the right as the kernels read them: mve's are to the left."""
    return -right if kernels == "mve" else right


def fill_row(kernels: Kernels, values: NDArray[np.int64], *, depthwise: bool) -> NDArray[np.int64]:
    """A row of bias, multiplier or shift [..., channels] as long as its kernel reads it.

    mve reads sixteen channels of a depthwise layer at once; what goes beyond is not used, and is 1.
    """
    if kernels != "mve" or not depthwise:
        return values
    room = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % 16)]
    return np.pad(values, room, constant_values=1)


def depthwise_scratch(kernels: Kernels, shape: Window) -> int:
    """Scratch of ws_depthwise: mve copies the rows that an output row needs where taps reach beyond
    the edge."""
    height = (shape.kernel_h - 1) * shape.dilation_h + 1
    rows = (shape.out_h - 1) * shape.stride_h + height
    row = (shape.out_w - 1) * shape.stride_w + (shape.kernel_w - 1) * shape.dilation_w + 1
    inside = not shape.pad_top and not shape.pad_left and row <= shape.in_w and rows <= shape.in_h
    return 0 if kernels != "mve" or inside else height * row * shape.in_c


def scratch_bytes(
    kernels: Kernels, length: int, outputs: int, pixels: int, *, gathers: bool
) -> int:
    """Scratch of ws_dot (`gathers` false) or ws_conv over `length` inputs an output.

    A patch that was gathered; for up to two pixels, dsp widens inputs to int16, mve keeps sums. Of
    more than `_BLOCK` inputs dsp widens a block at a time and keeps sums.
    """
    patch = -(-_padded(kernels, length) // 4) * 4 if gathers else 0
    if family(kernels) == "dsp" and length > _BLOCK:
        return patch + 4 * -(-outputs // 4) * 4 + 2 * _BLOCK
    pixel = {"plain": 0, "dsp": 2 * _padded(kernels, length), "mve": 4 * outputs}[family(kernels)]
    return patch + pixel * min(pixels, 2)


def _padded(kernels: Kernels, length: int) -> int:
    return -(-length // _MULTIPLE[family(kernels)]) * _MULTIPLE[family(kernels)]
