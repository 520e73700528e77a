# SPDX-License-Identifier: Apache-2.0
"""The names of the kernel sets; convert/compile/kernels.py says what each needs of its weights."""

from __future__ import annotations

from typing import Literal, get_args

Kernels = Literal["plain", "dsp", "dsp-wide", "mve"]
KERNELS: tuple[Kernels, ...] = get_args(Kernels)
Family = Literal["plain", "dsp", "mve"]


def family(kernels: Kernels) -> Family:
    """The header of firmware/kernels and firmware/frontend that has this set."""
    return "dsp" if kernels == "dsp-wide" else kernels
