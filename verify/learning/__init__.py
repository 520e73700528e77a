# SPDX-License-Identifier: Apache-2.0
"""The verification networks: their examples, training, thresholds and measures."""
