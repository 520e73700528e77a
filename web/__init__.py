# SPDX-License-Identifier: Apache-2.0
"""The emulator in the browser: the engine as WebAssembly, and the page that runs it."""
