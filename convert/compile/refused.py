# SPDX-License-Identifier: Apache-2.0
"""Operators that are refused, and what to do instead; docs/compile.md lists them too."""

from __future__ import annotations

_LACKS = "TFLM does not have it"

#: By operator: why, and a hint.
REFUSED = {
    "ADD_N": "not supported; hint: add two at a time",
    "ARG_MAX": "its result is no int8; hint: end the model before it and let the caller choose",
    "ARG_MIN": "its result is no int8; hint: end the model before it and let the caller choose",
    "CUMSUM": "not supported; hint: a dense layer with a triangle of ones does the same",
    "FLOOR_DIV": "TFLM runs it on floats only; hint: DIV",
    "GATHER_ND": "not supported; hint: GATHER or SLICE with constants",
    "GELU": f"{_LACKS}; hint: x * sigmoid(1.702 * x), of which one table is made",
    "L2_NORMALIZATION": "not supported; hint: normalize by MEAN, RSQRT and MUL",
    "LOG_SOFTMAX": "not supported; hint: end in SOFTMAX; the order is the same",
    "ONE_HOT": f"{_LACKS}; hint: let the caller give it",
    "POW": f"{_LACKS}; hint: multiply, or SQUARE and SQRT of one input",
    "REDUCE_PROD": f"{_LACKS}; hint: split and multiply",
    "RELU_0_TO_1": f"{_LACKS}; hint: MINIMUM and MAXIMUM with constants",
    "RELU_N1_TO_1": f"{_LACKS}; hint: MINIMUM and MAXIMUM with constants, or fuse it",
    "REVERSE_SEQUENCE": f"{_LACKS}; hint: REVERSE_V2",
    "SELECT": f"{_LACKS}; hint: SELECT_V2, which tf.where becomes",
    "SIGN": f"{_LACKS}; hint: GREATER and SELECT_V2",
    "TILE": f"{_LACKS}; hint: broadcast by ADD or MUL, or BROADCAST_TO",
    "TOPK_V2": f"{_LACKS}; hint: end the model before it and let the caller choose",
    "WHERE": f"{_LACKS}; hint: SELECT_V2, which tf.where with three inputs becomes",
}
