# SPDX-License-Identifier: Apache-2.0
"""No compiler but the host's, no QEMU, no TensorFlow."""
