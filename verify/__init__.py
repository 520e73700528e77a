# SPDX-License-Identifier: Apache-2.0
"""The verifier, on the server's side: what a device sends after a wake, and who receives it."""
