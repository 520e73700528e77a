# SPDX-License-Identifier: Apache-2.0
"""What the firmware costs, counted and not timed: instructions, flash, RAM and stack."""
