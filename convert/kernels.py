"""Kernel sets: which of a core's instructions the generated C uses.

`plain` is portable C, for every core and the host; `dsp` uses the DSP extension (Cortex-M4, M7,
M33: SMLAD, SMULWB ...); `mve` uses Helium (M55). The bits that come out are the same.
"""

from __future__ import annotations

from typing import Literal, get_args

Kernels = Literal["plain", "dsp", "mve"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)
