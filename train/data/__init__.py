"""Data folders: the manifest, its audio, where the word is, halves."""
