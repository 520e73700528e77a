# SPDX-License-Identifier: Apache-2.0
"""Gateway and service, over real streams and sockets."""
