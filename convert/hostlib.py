# SPDX-License-Identifier: Apache-2.0
"""The device's front end and networks, compiled for this machine: they make the training features
and verify wakes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wakestate.convert.compile.emit import compile_model
from wakestate.convert.compile.sources import FIRMWARE, included
from wakestate.convert.features import frontend_files
from wakestate.words.schema import FrontEnd

CACHE = Path("build/host/frontend")
# A loop over hops, for ctypes.
_LOOPS = """
void features(const int16_t *pcm, int hops, int8_t *out) {
    int32_t work[WS_WORK] = {0};
    for (int i = 0; i < hops; i++) {
        ws_frontend(pcm + i * WS_HOP, work, out + i * WS_BANDS);
    }
}
void features_q8(const int16_t *pcm, int hops, int32_t *out) {
    int32_t work[WS_WORK] = {0};
    for (int i = 0; i < hops; i++) {
        ws_frontend_q8(pcm + i * WS_HOP, work, out + i * WS_BANDS);
    }
}
"""
# The same over the runs of a network.
_RUNS = """
void run_all(const int8_t *in, int runs, int8_t *out) {
    struct network model;
    _Alignas(4) int8_t given[NETWORK_IN_BYTES], made[NETWORK_OUT_BYTES];
    network_reset(&model);
    for (int i = 0; i < runs; i++) {
        memcpy(given, in + i * NETWORK_IN_BYTES, sizeof given);
        network_run(&model, given, made);
        memcpy(out + i * NETWORK_OUT_BYTES, made, sizeof made);
    }
}
"""


class Extractor:
    """Features by the generated C, of a recording from its start."""

    def __init__(self, frontend: FrontEnd) -> None:
        self.frontend = frontend
        self._library = _build(frontend_files(frontend, "Built in memory.", "plain"), _LOOPS)

    def __reduce__(self) -> tuple[type[Extractor], tuple[FrontEnd]]:
        return Extractor, (self.frontend,)

    def hops(self, samples: int) -> int:
        """Whole windows in that many samples."""
        f = self.frontend
        return max(0, (samples - f.window_samples) // f.hop_samples + 1)

    def features(self, pcm: NDArray[np.int16]) -> NDArray[np.int8]:
        """int16[samples] -> int8[hops, bands]."""
        out = np.empty((self.hops(len(pcm)), self.frontend.bands), np.int8)
        return self._run(self._library.features, pcm, out)

    def features_q8(self, pcm: NDArray[np.int16]) -> NDArray[np.int32]:
        """int16[samples] -> int32[hops, bands], int8 steps in Q8 before rounding."""
        out = np.empty((self.hops(len(pcm)), self.frontend.bands), np.int32)
        return self._run(self._library.features_q8, pcm, out)

    def _run(self, function: Any, pcm: NDArray[np.int16], out: NDArray[Any]) -> NDArray[Any]:
        return _call(function, np.ascontiguousarray(pcm, np.int16), out)


class HostNetwork:
    """The network of a .tflite over a `window` of columns by the generated C, column by column."""

    def __init__(self, path: Path, window: int) -> None:
        """ConvertError."""
        self._made_of = path, window
        made = compile_model(path, "network", "plain", stream=True)
        self._library = _build(
            {f"network.{end}": made.files[f"network.{end}"] for end in "hc"}, _RUNS
        )
        self._hop, self._outputs = made.program.inputs[0].shape[1], made.program.outputs[0].size
        self._early = -window % self._hop  # columns before the first, so that a run ends its window
        self._warmup = made.warmup

    def __reduce__(self) -> tuple[type[HostNetwork], tuple[Path, int]]:
        return HostNetwork, self._made_of

    def outputs(self, columns: NDArray[np.int8]) -> NDArray[np.int8]:
        """int8[n, columns, bands] -> int8[n, steps, outputs]: each whole window, a step apart."""
        runs = (columns.shape[1] + self._early) // self._hop
        given = np.pad(columns, ((0, 0), (self._early, 0), (0, 0)))[:, : runs * self._hop]
        found = np.empty((len(given), runs, self._outputs), np.int8)
        for one, out in zip(np.ascontiguousarray(given), found, strict=True):
            _call(self._library.run_all, one, out)
        return found[:, self._warmup - 1 :]


def _call(function: Any, given: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    """A loop over the rows of `out`."""
    function(given.ctypes.data_as(ctypes.c_void_p), len(out), out.ctypes.data_as(ctypes.c_void_p))
    return out


def _build(files: dict[str, str], loops: str) -> ctypes.CDLL:
    """The generated files, a header and a source, with loops over them; built once for a text."""
    texts = [*files.values(), loops, *included(files.values()).values()]
    library = CACHE / f"{hashlib.sha256(''.join(texts).encode()).hexdigest()[:16]}.so"
    if not library.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text)
            source, built = Path(folder) / "loops.c", Path(folder) / "loops.so"
            source.write_text(f'#include "{[*files][-1]}"\n{loops}')
            command = [
                os.environ.get("CC", "cc"),
                "-std=c11",
                "-O3",
                "-Wall",
                "-Wextra",
                "-Wconversion",
                "-Werror",
                "-shared",
                "-fPIC",
                f"-I{FIRMWARE}",
                f"-I{FIRMWARE / 'include'}",
                "-o",
                str(built),
                str(source),
            ]
            subprocess.run(command, check=True)
            built.replace(library)
    return ctypes.CDLL(str(library.resolve()))
