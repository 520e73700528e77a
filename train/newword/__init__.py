# SPDX-License-Identifier: Apache-2.0
"""`wakestate word new`: from a phrase alone to a model and what to expect of it."""
