# SPDX-License-Identifier: Apache-2.0
"""Networks by what a device has room for: `size` in [model] of a word file."""

from __future__ import annotations

from typing import Any, Final, Literal

Size = Literal["small", "medium", "large"]
KERNELS = (5, 7, 9, 9)


def _blocks(channels: int) -> list[dict[str, int]]:
    return [{"kernel": kernel, "channels": channels} for kernel in KERNELS]


#: What differs from the defaults of [model]. At 64 bands weights, KB, and million
#: multiply-accumulates a second: small 34.8 and 1.16, medium 106.6 and 3.55, large 251.3 and 8.38.
SIZES: Final[dict[str, dict[str, Any]]] = {
    "small": {},
    "medium": {
        "first_channels": 72,
        "blocks": _blocks(112),
        "dense": 48,
        "embedding": 12,
        "metadata_dense": 12,
    },
    "large": {
        "first_channels": 112,
        "blocks": _blocks(192),
        "dense": 64,
        "embedding": 16,
        "metadata_dense": 16,
    },
}
