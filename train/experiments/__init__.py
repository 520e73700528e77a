# SPDX-License-Identifier: Apache-2.0
"""Experiments over many runs: recipes, variants, two ways to find endpoints."""
