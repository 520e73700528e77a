# SPDX-License-Identifier: Apache-2.0
"""What each operator's arguments may be, and which function of convert/graph/shapes.py or
convert/graph/window_shapes.py derives its shape.

One rule for each operator. Sizes are checked even where convert/compile supports less: what it
refuses, it refuses by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wakestate.convert.graph import shapes, window_shapes
from wakestate.convert.graph.shapes import Shape

if TYPE_CHECKING:
    from wakestate.convert.graph.tflite_graph import Op

Shapes = Callable[["Op"], list[Shape]]
#: Lowest and highest, or the words that are allowed.
Range = tuple[float, float] | tuple[str, ...]

ANY = 1 << 14  # as many as a file can name
SIZES: Range = (1, 1 << 16)
PADDING: Range = ("SAME", "VALID")


@dataclass(frozen=True)
class Rule:
    """Of one operator."""

    shapes: Shapes  # of its outputs, derived; may raise ConvertError
    inputs: tuple[int, int] = (1, 1)
    outputs: tuple[int, int] = (1, 1)
    optional: frozenset[int] = frozenset()  # inputs that may be left out
    integers: tuple[int, ...] = ()  # inputs that are axes, sizes and the like
    alike: tuple[int, ...] = (0,)  # inputs of the output's type; (): all
    typed: bool = True  # False: types may differ
    keeps: bool = False  # it has inputs that keep their values from run to run
    options: dict[str, Range] = field(default_factory=dict)


_UNARY = Rule(shapes.same)
_BINARY = Rule(shapes.broadcast, (2, 2), alike=(0, 1))
_SLIDES: dict[str, Range] = {"padding": PADDING, "stride_h": SIZES, "stride_w": SIZES}
_DILATES: dict[str, Range] = {"dilation_h_factor": SIZES, "dilation_w_factor": SIZES}
_FILTER: dict[str, Range] = {"filter_height": SIZES, "filter_width": SIZES}
_POOL = Rule(window_shapes.pool, options=_SLIDES | _FILTER)
_REDUCE = Rule(shapes.reduce, (2, 2), integers=(1,), options={"keep_dims": (0, 1)})
_RESIZE = Rule(
    window_shapes.resize,
    (2, 2),
    integers=(1,),
    options={"align_corners": (0, 1), "half_pixel_centers": (0, 1)},
)
_AXIS: dict[str, Range] = {"axis": (-8, 8)}
_SPLITS: dict[str, Range] = {"num_splits": (1, ANY)}
_MASKS: dict[str, Range] = {
    f"{name}_mask": (0, (1 << 31) - 1)
    for name in ("begin", "end", "ellipsis", "new_axis", "shrink_axis")
}

RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "ABS",
            "ELU",
            "EXP",
            "HARD_SWISH",
            "LOG",
            "LOGISTIC",
            "NEG",
            "RELU",
            "RELU6",
            "RELU_0_TO_1",
            "RELU_N1_TO_1",
            "RSQRT",
            "SQRT",
            "SQUARE",
            "TANH",
        ),
        _UNARY,
    ),
    **dict.fromkeys(
        ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"), _BINARY
    ),
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _POOL),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), _REDUCE),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), _RESIZE),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "CAST"), Rule(shapes.same, typed=False)),
    **dict.fromkeys(("CEIL", "COS", "FLOOR", "LOGICAL_NOT", "ROUND", "SIN"), _UNARY),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR"), _BINARY),
    **dict.fromkeys(
        ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
        Rule(shapes.broadcast, (2, 2), typed=False),
    ),
    "SELECT_V2": Rule(shapes.select, (3, 3), alike=(1, 2)),
    "BROADCAST_TO": Rule(shapes.moved, (2, 2), integers=(1,)),
    "REVERSE_V2": Rule(shapes.moved, (2, 2), integers=(1,)),
    "MIRROR_PAD": Rule(shapes.mirror_pad, (2, 2), integers=(1,), options={"mode": (0, 1)}),
    "SPACE_TO_DEPTH": Rule(shapes.moved, options={"block_size": SIZES}),
    "DEPTH_TO_SPACE": Rule(shapes.moved, options={"block_size": SIZES}),
    "LEAKY_RELU": Rule(shapes.same, options={"alpha": (-1e6, 1e6)}),
    "SOFTMAX": Rule(shapes.softmax, typed=False, options={"beta": (1e-6, 1e6)}),
    "CONV_2D": Rule(
        window_shapes.conv, (2, 3), optional=frozenset({2}), options=_SLIDES | _DILATES
    ),
    "DEPTHWISE_CONV_2D": Rule(
        window_shapes.depthwise,
        (2, 3),
        optional=frozenset({2}),
        options=_SLIDES | _DILATES | {"depth_multiplier": (0, 1 << 16)},
    ),
    "TRANSPOSE_CONV": Rule(
        window_shapes.transpose_conv,
        (3, 4),
        optional=frozenset({3}),
        integers=(0,),
        alike=(2,),
        options=_SLIDES,
    ),
    "FULLY_CONNECTED": Rule(window_shapes.fully_connected, (2, 3), optional=frozenset({2})),
    "BATCH_MATMUL": Rule(window_shapes.batch_matmul, (2, 2), alike=(0, 1)),
    "SVDF": Rule(
        window_shapes.svdf,
        (5, 5),
        optional=frozenset({3}),
        keeps=True,
        options={"rank": (1, 1 << 16)},
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Rule(
        window_shapes.lstm,
        (20, 24),
        keeps=True,
        optional=frozenset({1, 5, *range(9, 18), *range(20, 24)}),
        options={"time_major": (0, 1), "cell_clip": (0, 1e6), "proj_clip": (0, 1e6)},
    ),
    "TRANSPOSE": Rule(shapes.moved, (2, 2), integers=(1,)),
    "GATHER": Rule(shapes.gather, (2, 2), integers=(1,), options=_AXIS | {"batch_dims": (0, 0)}),
    "CONCATENATION": Rule(shapes.concatenation, (1, ANY), alike=(), options=_AXIS),
    "PACK": Rule(shapes.pack, (1, ANY), alike=(), options=_AXIS | {"values_count": (1, ANY)}),
    "UNPACK": Rule(shapes.moved, outputs=(1, ANY), options=_AXIS | {"num": (1, ANY)}),
    "SPLIT": Rule(shapes.moved, (2, 2), (1, ANY), integers=(0,), alike=(1,), options=_SPLITS),
    "SPLIT_V": Rule(shapes.moved, (3, 3), (1, ANY), integers=(1, 2), options=_SPLITS),
    "SLICE": Rule(shapes.moved, (3, 3), integers=(1, 2)),
    "STRIDED_SLICE": Rule(shapes.moved, (4, 4), integers=(1, 2, 3), options=_MASKS),
    "PAD": Rule(shapes.pad, (2, 2), integers=(1,)),
    "PADV2": Rule(shapes.pad, (3, 3), integers=(1,), alike=(0, 2)),
    "RESHAPE": Rule(shapes.reshape, (1, 2), optional=frozenset({1}), integers=(1,)),
    "SQUEEZE": Rule(shapes.squeeze),
    "EXPAND_DIMS": Rule(shapes.expand_dims, (2, 2), integers=(1,)),
    "SHAPE": Rule(shapes.shape_of, typed=False),
    "SPACE_TO_BATCH_ND": Rule(shapes.space_to_batch, (3, 3), integers=(1, 2)),
    "BATCH_TO_SPACE_ND": Rule(shapes.batch_to_space, (3, 3), integers=(1, 2)),
    "CALL_ONCE": Rule(shapes.nothing, (0, 0), (0, 0), options={"init_subgraph_index": (1, ANY)}),
    "VAR_HANDLE": Rule(shapes.as_declared, (0, 0), typed=False),
    "READ_VARIABLE": Rule(shapes.as_declared, typed=False),
    "ASSIGN_VARIABLE": Rule(shapes.nothing, (2, 2), (0, 0), typed=False),
}
