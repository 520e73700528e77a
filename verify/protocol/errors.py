# SPDX-License-Identifier: Apache-2.0
"""The one error of gateway and service."""

from __future__ import annotations

from wakestate.errors import UserError


class GatewayError(UserError):
    """The gateway or the service cannot continue; the text names what, and the hint."""
