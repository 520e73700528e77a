# SPDX-License-Identifier: Apache-2.0
"""Words as a library for other build systems: `wakestate export`."""
