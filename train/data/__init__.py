# SPDX-License-Identifier: Apache-2.0
"""Data folders: the manifest, its audio, where the word is, halves."""
