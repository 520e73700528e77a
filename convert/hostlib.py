"""The device's front end, compiled for this machine: what makes the training features."""

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

from wakestate.convert.frontend import template_values
from wakestate.convert.render import render
from wakestate.convert.sources import FIRMWARE, included
from wakestate.words.schema import FrontEnd

CACHE = Path("build/host/frontend")
# A loop over hops, for ctypes.
_LOOPS = """
void features(const int16_t *pcm, int hops, int8_t *out) {
    int32_t work[WS_FFT];
    for (int i = 0; i < hops; i++) {
        ws_frontend(pcm + i * WS_HOP, work, out + i * WS_BANDS);
    }
}
void features_q8(const int16_t *pcm, int hops, int32_t *out) {
    int32_t work[WS_FFT];
    for (int i = 0; i < hops; i++) {
        ws_frontend_q8(pcm + i * WS_HOP, work, out + i * WS_BANDS);
    }
}
"""


class Extractor:
    """LFBE features by the generated C."""

    def __init__(self, frontend: FrontEnd) -> None:
        self.frontend = frontend
        self._library = ctypes.CDLL(str(_build(frontend)))

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
        pcm = np.ascontiguousarray(pcm, np.int16)
        function(pcm.ctypes.data_as(ctypes.c_void_p), len(out),
                 out.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
        return out


def _build(frontend: FrontEnd) -> Path:
    values = {"header": "Built in memory.", "kernels": "plain", **template_values(frontend)}
    header = render("ws_lfbe.h.j2", **values)
    source = render("ws_frontend.c.j2", **values)
    texts = [header, source, _LOOPS, *included([source]).values()]
    key = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    library = CACHE / f"{key}.so"
    if not library.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            (Path(folder) / "ws_lfbe.h").write_text(header)
            (Path(folder) / "frontend.c").write_text(source + _LOOPS)
            built = Path(folder) / "frontend.so"
            command = [os.environ.get("CC", "cc"), "-std=c11", "-O3", "-Wall", "-Wextra",
                       "-Wconversion", "-Werror", "-shared", "-fPIC", f"-I{FIRMWARE}",
                       f"-I{FIRMWARE / 'include'}",
                       "-o", str(built), f"{folder}/frontend.c"]  # fmt: skip
            subprocess.run(command, check=True)
            built.replace(library)
    return library.resolve()
