# SPDX-License-Identifier: Apache-2.0
"""The program `wakestate`: a module for each noun. What is slow to load is loaded when it runs."""
