# SPDX-License-Identifier: Apache-2.0
"""Small .tflite files, by subject: what the tests compile and the fuzzers mutate."""
