# SPDX-License-Identifier: Apache-2.0
"""Networks of the verifier as training would write them, but untrained."""

from __future__ import annotations

import keras

from wakestate.verify.learning.fit import folded
from wakestate.verify.learning.networks import KINDS, PER_UNIT, PREROLL_FRAMES, first_frame
from wakestate.verify.protocol.window import FRAMES
from wakestate.verify.service.infer import Network


def network(model: keras.Model, bands: int) -> Network:
    seen = KINDS[model.name]
    facts = {
        "kind": model.name,
        "frames": FRAMES,
        "bands": bands,
        "first_column": first_frame(seen),
        "seen": seen,
        "preroll_frames": PREROLL_FRAMES,
        "frames_per_unit": PER_UNIT,
    }
    return Network(facts, folded(model))
