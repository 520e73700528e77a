"""Which types tensors may have: bytes everywhere, wider ones at the ends of a graph."""

from __future__ import annotations

from wakestate.convert.tflite_graph import Op

BYTES = ("INT8", "UINT8")
#: Of inputs and outputs that QUANTIZE makes bytes of, or is made of bytes.
WIDE = ("INT16", "INT32")


def is_requantization(op: Op) -> bool:
    """A QUANTIZE of or to more than bytes, and not of floats."""
    types = {t.dtype for t in (*op.inputs, *op.outputs) if t is not None}
    return op.name == "QUANTIZE" and not types <= set(BYTES) and types <= {*BYTES, *WIDE}
