# SPDX-License-Identifier: Apache-2.0
"""The same bits everywhere: references, interpreters, host C, QEMU."""
