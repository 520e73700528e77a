# SPDX-License-Identifier: Apache-2.0
"""Cross compiler and QEMU: firmware, boards, costs."""
