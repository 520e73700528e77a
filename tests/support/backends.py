# SPDX-License-Identifier: Apache-2.0
"""What a process of a test learns with."""

#: JAX compiles in half the time.
QUICK = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MAX_OPTIMIZATIONS": "1"}
