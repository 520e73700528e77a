# SPDX-License-Identifier: Apache-2.0
"""Data, acoustics, Keras models, training and evaluation. Knows nothing of boards."""
