# SPDX-License-Identifier: Apache-2.0
"""The HTTP service of the verifier."""
