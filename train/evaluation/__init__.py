# SPDX-License-Identifier: Apache-2.0
"""Measures of a model through the device pipeline."""
