# SPDX-License-Identifier: Apache-2.0
"""TensorFlow, Keras or JAX: models, training, evaluation, verifier."""
