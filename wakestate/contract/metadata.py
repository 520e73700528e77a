# SPDX-License-Identifier: Apache-2.0
"""What training, conversion and the engine agree on: the metadata's vectors, the endpoints' unit
and range, the least scale of a conditional norm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wakestate.words import Word, state_fields

MIN_SCALE = 0.05  # of a conditional norm: positive, so that a state only rescales channels
ENDPOINT_HOPS = 6  # the unit of START and END; small, so that they fit the logit's int8 range


def metadata_width(word: Word) -> int:
    """Length of the metadata vector: one place per value of every field."""
    return sum(len(values) for values in word.metadata.values())


def metadata_vectors(word: Word) -> NDArray[np.float32]:
    """One-hot metadata of every state, float32[states, metadata_width], in table order."""
    rows = []
    for state in word.states:
        given = state_fields(state)
        rows.append([float(given[f] == v) for f, vs in word.metadata.items() for v in vs])
    return np.asarray(rows, np.float32)


def endpoint_range(word: Word) -> tuple[float, float]:
    """The least and greatest START and END, in units of ENDPOINT_HOPS. Where there is no word,
    wilder values saturate: so they cost the logit, which shares their scale, no resolution."""
    return -2.0, word.model.receptive_hops / ENDPOINT_HOPS
