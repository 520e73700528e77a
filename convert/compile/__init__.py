# SPDX-License-Identifier: Apache-2.0
"""Any int8 .tflite file to C: read, simplify, place, lower, plan, emit. See docs/compile.md."""
