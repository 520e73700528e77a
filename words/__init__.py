# SPDX-License-Identifier: Apache-2.0
"""Wake words: one TOML file each, and the schema they are read through."""

from wakestate.words.schema import Data, Word, WordError, load_word, state_fields

__all__ = ["Data", "Word", "WordError", "load_word", "state_fields"]
