"""The network and its layers (Keras 3)."""
