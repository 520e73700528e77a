# SPDX-License-Identifier: Apache-2.0
"""The rooms: folders of tests/, by what their tests need. docs/testing.md describes them."""

ROOMS = ("unit", "exact", "qemu", "training", "service", "install")
