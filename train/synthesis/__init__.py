# SPDX-License-Identifier: Apache-2.0
"""A data folder from nothing: synthesized words and confusable phrases, and speech of packages.

One file for each engine that speaks, all behind `engine.Engine`; `confusables` finds what sounds
like a phrase, `script` decides what is said by whom, `recorded` reads the distribution's packages,
and `make` runs it all into a folder with manifest.csv, as train.data reads it.
"""
