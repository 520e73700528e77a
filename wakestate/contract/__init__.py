# SPDX-License-Identifier: Apache-2.0
"""What the other packages agree on: metadata vectors, kernel sets."""
