# SPDX-License-Identifier: Apache-2.0
"""Synthetic voices that measure confusable phrases.

What is installed speaks. `make data` keeps these espeak-ng voices from training; flite's and
Festival's are new to a network only if its data were made without flite (--engines). Synthesis
imports this without the training packages: it imports nothing.
"""

from __future__ import annotations

ESPEAK = (
    "en-us",
    "en-us+f2",
    "en-us+f4",
    "en-us+m3",
    "en-us+m7",
    "en-gb",
    "en-gb-x-rp+f3",
    "en-gb-scotland",
)
FLITE = ("awb", "kal16", "rms", "slt")
FESTIVAL = ("kal_diphone",)
RHVOICE = ("alan", "bdl", "clb", "slt")
