# SPDX-License-Identifier: Apache-2.0
"""The one base of all errors that a user can correct."""

from __future__ import annotations


class UserError(Exception):
    """Something given cannot be used: the text names what was given, and what to do.

    The program prints it as a line on stderr, without a traceback, and ends with `status`.
    """

    status = 1  # 2: not to be used as it was asked
    several_lines = False  # else it names several problems, a line each
