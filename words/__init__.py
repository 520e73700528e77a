"""Wake words: one TOML file each, and the schema they are read through."""

from words.schema import Word, WordError, load_word

__all__ = ["Word", "WordError", "load_word"]
