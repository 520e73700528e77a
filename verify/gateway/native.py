# SPDX-License-Identifier: Apache-2.0
"""The frames of firmware/uplink/, compiled for this computer: the C side of the protocol."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wakestate import ROOT
from wakestate.verify.protocol.errors import GatewayError
from wakestate.verify.protocol.frames import FRAME_MAX

SOURCES = ("firmware/uplink/frame.c", "firmware/platform/python/frames_capi.c")
#: ws_capi_frame
HEAD = np.dtype([("number", "<u4"), ("count", "<u4"), ("type", "u1"), ("_", "V3")])
Bytes = NDArray[np.uint8]
Ends = NDArray[np.uint32]


class NativeError(GatewayError):
    """The C cannot be compiled here; the message has the reason."""

    several_lines = True


def library() -> ctypes.CDLL:
    """Compile and load it."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "frames.so"
        flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-shared"]
        flags += ["-Ifirmware/include", "-Ifirmware", "-fPIC"]
        call = [os.environ.get("CC", "cc"), *flags, "-o", str(built), *SOURCES]
        try:
            done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise NativeError(f"{call[0]}: no such compiler; apt-get install gcc") from None
        if done.returncode != 0:
            raise NativeError(f"{SOURCES[0]}: does not compile: {done.stderr.strip()}")
        loaded = ctypes.CDLL(str(built))
    loaded.ws_capi_frames_write.restype = ctypes.c_size_t
    loaded.ws_capi_frames_read.restype = ctypes.c_size_t
    return loaded


def _pointer(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return array.ctypes.data_as(ctypes.c_void_p)


def write(c: ctypes.CDLL, heads: NDArray[np.void], payloads: Bytes) -> tuple[Bytes, Ends]:
    """HEAD[n] and all payloads -> the stream, and u4[n], where each frame of it ends."""
    out = np.empty(len(heads) * FRAME_MAX, np.uint8)
    ends = np.empty(len(heads), np.uint32)
    count = c.ws_capi_frames_write(
        _pointer(heads),
        ctypes.c_size_t(len(heads)),
        _pointer(payloads),
        _pointer(out),
        _pointer(ends),
    )
    return out[:count], ends


def read(c: ctypes.CDLL, stream: Bytes) -> tuple[NDArray[np.void], Bytes, int]:
    """A stream -> HEAD[n] and all payloads of its frames, and how many were damaged."""
    heads = np.empty(len(stream) // 10 + 1, HEAD)
    payloads = np.empty(len(stream) + 1, np.uint8)
    damaged = ctypes.c_uint32()
    count = c.ws_capi_frames_read(
        _pointer(stream),
        ctypes.c_size_t(len(stream)),
        _pointer(heads),
        _pointer(payloads),
        ctypes.byref(damaged),
    )
    heads = heads[:count]
    return heads, payloads[: int(heads["count"].sum())], damaged.value
