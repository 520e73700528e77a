# SPDX-License-Identifier: Apache-2.0
"""Facts about sound that everything shares: its sample rate and the mel scale."""

from __future__ import annotations

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

RATE: Final = 16000  # Hz, of all sound: front end, recordings, uplink

Values = TypeVar("Values", float, NDArray[np.float64])


def mel(hz: Values) -> Values:
    """HTK's mel scale."""
    return 2595 * np.log10(1 + hz / 700)


def hertz(mels: Values) -> Values:
    """The frequency of a value of the mel scale, Hz."""
    return 700 * (10 ** (mels / 2595) - 1)
