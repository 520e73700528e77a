# SPDX-License-Identifier: Apache-2.0
"""Models that move values or reduce them, over any axes."""

from __future__ import annotations

from tests.support.tflite_maker import Maker


def reductions(m: Maker) -> None:
    shape = [2, 5, 3, 6]
    for name in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        for axes, keep in [((1, 3), 0), ((-1, 3, 1), 1), ((0, 2), 0), ((0, 1, 2, 3), 0), ((2,), 1)]:
            x = m.input(shape, scale=0.05)
            gone = {axis % 4 for axis in axes}
            if keep:
                made = [1 if axis in gone else n for axis, n in enumerate(shape)]
            else:
                made = [n for axis, n in enumerate(shape) if axis not in gone]
            same = name.startswith("REDUCE")
            scale, zero = m.quantization(x)
            y = (
                m.tensor(made, scale=scale, zero=zero)
                if same
                else m.tensor(made, scale=0.07 if name == "MEAN" else 0.3)
            )
            kind = "ReducerOptions"
            m.output(m.op(name, [x, m.ints(*axes)], [y], kind, keepDims=bool(keep)))


def moves(m: Maker) -> None:
    x = m.input([1, 4, 6, 5], scale=0.05, zero=3)

    def moved(
        name: str, given: list[int], shape: list[int], kind: str = "", **options: object
    ) -> None:
        m.output(m.op(name, [x, *given], [m.like(x, shape)], kind, **options))

    for order in ((0, 2, 1, 3), (0, 3, 1, 2), (3, 2, 1, 0), (1, 0, 2, 3)):
        shape = [[1, 4, 6, 5][axis] for axis in order]
        moved("TRANSPOSE", [m.ints(*order)], shape, "TransposeOptions")
    moved("SLICE", [m.ints(0, 1, 2, 1), m.ints(1, 2, -1, 4)], [1, 2, 4, 4], "SliceOptions")
    moved("GATHER", [m.ints(5, 0, 0, 3)], [1, 4, 4, 5], "GatherOptions", axis=2)
    moved("REVERSE_V2", [m.ints(2)], [1, 4, 6, 5])
    moved("BROADCAST_TO", [m.ints(3, 4, 6, 5)], [3, 4, 6, 5])
    pads = m.ints(0, 0, 2, 1, 1, 3, 0, 0, shape=[4, 2])
    for mode in (0, 1):
        moved("MIRROR_PAD", [pads], [1, 7, 10, 5], "MirrorPadOptions", mode=mode)
    moved("SPACE_TO_DEPTH", [], [1, 2, 3, 20], "SpaceToDepthOptions", blockSize=2)
    parts = [m.like(x, [1, 4, 5]) for _ in range(6)]
    m.op("UNPACK", [x], parts, "UnpackOptions", axis=2, num=6)
    m.output(*parts)
    z = m.input([1, 3, 2, 8], scale=0.05)
    m.output(
        m.op("DEPTH_TO_SPACE", [z], [m.like(z, [1, 6, 4, 2])], "DepthToSpaceOptions", blockSize=2)
    )
    for size in ((3, 9), (8, 4), (1, 1)):
        for corners, centers in ((False, False), (True, False), (False, True)):
            for name in ("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"):
                kind = (
                    "ResizeBilinearOptions"
                    if name == "RESIZE_BILINEAR"
                    else ("ResizeNearestNeighborOptions")
                )
                moved(
                    name,
                    [m.ints(*size)],
                    [1, *size, 5],
                    kind,
                    alignCorners=corners,
                    halfPixelCenters=centers,
                )


def floats(m: Maker) -> None:
    """Moved between DEQUANTIZE and QUANTIZE, as converters leave UNPACK."""
    x = m.input([1, 3, 6], scale=0.05)
    f, *parts = (
        m.tensor([1, 3, 6], scale=None, dtype="FLOAT32"),
        *(m.tensor([1, 6], scale=None, dtype="FLOAT32") for _ in range(3)),
    )
    m.op("DEQUANTIZE", [x], [f])
    m.op("UNPACK", [f], parts, "UnpackOptions", axis=1, num=3)
    for part in parts[1:]:
        m.output(m.op("QUANTIZE", [part], [m.tensor([1, 6], scale=0.04)]))
