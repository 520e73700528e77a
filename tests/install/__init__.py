# SPDX-License-Identifier: Apache-2.0
"""Environments of their own: extras, the wheel, a new user's first steps."""
