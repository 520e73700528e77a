# SPDX-License-Identifier: Apache-2.0
"""From a trained model to C: .keras -> int8 .tflite -> typed graph -> plan -> C (see --help)."""
