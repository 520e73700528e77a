# SPDX-License-Identifier: Apache-2.0
"""Reading an int8 .tflite as a typed graph, and checking it; fixed-point arithmetic."""
