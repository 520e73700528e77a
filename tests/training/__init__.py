"""TensorFlow, Keras or JAX: models, training, evaluation, verifier."""
