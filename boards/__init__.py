# SPDX-License-Identifier: Apache-2.0
"""Boards: board.toml is the only place of a board's facts; everything else is generated from it."""
