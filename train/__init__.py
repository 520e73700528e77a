"""Data, acoustics, Keras models, training and evaluation. Knows nothing of boards."""
