# SPDX-License-Identifier: Apache-2.0
"""Kinds of .tflite files that are no int8 network: each is refused by its name, with a hint."""

from __future__ import annotations

from wakestate.convert.graph.errors import ConvertError
from wakestate.convert.graph.tflite_graph import Graph, Model, Op, Tensor

_INT8 = (
    "convert with TensorFlow 2's TFLiteConverter, optimizations = [tf.lite.Optimize.DEFAULT], a "
    "representative_dataset and target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]"
)
#: They move values of any type; or change types, as at the ends of a graph.
_ANY_TYPE = (
    *("ASSIGN_VARIABLE", "CALL_ONCE", "CAST", "CONCATENATION", "DEQUANTIZE", "EXPAND_DIMS"),
    *("GATHER", "PACK", "PAD", "PADV2", "QUANTIZE", "READ_VARIABLE", "RESHAPE", "SHAPE", "SLICE"),
    *("SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE", "UNPACK", "VAR_HANDLE"),
)
_WEIGHTED = (
    *("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF"),
    *("TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
)
_CONTROL = {
    "WHILE": "a loop; hint: unroll it, as Keras' recurrent layers do with unroll=True, or convert "
    "an LSTM so that it becomes one UNIDIRECTIONAL_SEQUENCE_LSTM",
    "IF": "a condition; hint: compute both sides and select, or make two models",
    "CALL": "a call of another subgraph; hint: inline it before converting",
}
_KINDS = {
    "FLOAT32": f"a float model, FLOAT32; INT8 is supported; hint: quantize it: {_INT8}",
    "dynamic": "dynamic-range quantization, FLOAT32 activations and INT8 weights; INT8 is "
    f"supported; hint: quantize activations too: {_INT8}",
    "FLOAT16": f"float16 weights; INT8 is supported; hint: quantize it: {_INT8}",
    "INT16": f"16x8 quantization, INT16 activations; INT8 is supported; hint: {_INT8}",
    "UINT8": "uint8 quantization, as TensorFlow 1 wrote it; INT8 is supported; hint: convert the "
    f"original model again: {_INT8}",
}


def refuse_other_kinds(model: Model) -> None:
    """ConvertError, one line, where the first graph is not an int8 network."""
    graph = model.graphs[0]
    problem = next((p for op in graph.ops if (p := _problem(op, graph))), None)
    if problem is not None:
        raise ConvertError(f"{model.path}: {problem}")


def _problem(op: Op, graph: Graph) -> str | None:
    if op.name in _CONTROL:
        return f"{op}: {_CONTROL[op.name]}"
    for tensor in op.given + op.outputs:
        if tensor.dtype in ("STRING", "INT4"):
            return f"{op}: tensor {tensor.name} is {tensor.dtype}; INT8 is supported; hint: " + (
                "keep text outside the model" if tensor.dtype == "STRING" else _INT8
            )
    kind = None if op.name in _ANY_TYPE else _kind(op, graph)
    return f"{op}: {_KINDS[kind]}" if kind else None


def _kind(op: Op, graph: Graph) -> str | None:
    """Of what its activations are, if not of int8."""
    given = op.given
    state_inputs = given if op.name in ("SVDF", "UNIDIRECTIONAL_SEQUENCE_LSTM") else []
    activations = [t for t in given if t.data is None and t not in state_inputs[1:]]
    if op.name != "SOFTMAX":  # which may write int16 for the caller
        activations += op.outputs
    types = {t.dtype for t in activations}
    if "FLOAT32" in types and (op.name in _WEIGHTED or not _has_bytes(graph)):
        if any(_source(t, graph).dtype == "FLOAT16" for t in given):
            return "FLOAT16"
        quantized = any(t.dtype == "INT8" and t.data is not None for t in given)
        return "dynamic" if quantized else "FLOAT32"
    return next((kind for kind in ("INT16", "UINT8") if kind in types), None)


def _has_bytes(graph: Graph) -> bool:
    """Some activations are quantized: floats between them may become tables."""
    made = [t for op in graph.ops for t in op.outputs]
    return any(t.dtype in ("INT8", "UINT8") for t in made)


def _source(tensor: Tensor, graph: Graph) -> Tensor:
    """What it is dequantized from, if it is."""
    for op in graph.ops:
        if op.name == "DEQUANTIZE" and tensor in op.outputs:
            return op.source()
    return tensor
