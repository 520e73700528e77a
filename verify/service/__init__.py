"""The HTTP service of the verifier."""
