# SPDX-License-Identifier: Apache-2.0
"""The C of a word's front end: ours, or microWakeWord's."""

from __future__ import annotations

import numpy as np

from wakestate.convert import frontend as lfbe
from wakestate.convert import micro
from wakestate.convert.frontend import frontend_hash, lfbe_name
from wakestate.convert.graph.tflite_graph import Quantization
from wakestate.render import render
from wakestate.words.schema import FrontEnd


def work_words(frontend: FrontEnd) -> int:
    """32-bit words that the front end works in."""
    return micro.WORK if frontend.kind == "micro" else frontend.fft_size


def network_input(frontend: FrontEnd) -> Quantization:
    """What the int8 columns stand for in a network's .tflite files."""
    if frontend.kind == "micro":
        assert frontend.feature_scale is not None  # words/schema.py
        return Quantization(float(np.float32(frontend.feature_scale)), -128)
    return Quantization(1 / 32, 0)


def frontend_files(frontend: FrontEnd, header: str, kernels: str) -> dict[str, str]:
    """ws_lfbe.h and ws_frontend.c, for the kernels of a family."""
    own = micro if frontend.kind == "micro" else lfbe
    values = {
        "header": header,
        "kernels": kernels,
        "f": frontend,
        "frontend_hash": frontend_hash(frontend)[:8],
        "lfbe": lfbe_name(frontend),
        "work": work_words(frontend),
        **own.template_values(frontend),
    }
    source = "ws_frontend_micro.c.j2" if own is micro else "ws_frontend.c.j2"
    return {
        "ws_lfbe.h": render("ws_lfbe.h.j2", **values),
        "ws_frontend.c": render(source, **values),
    }
