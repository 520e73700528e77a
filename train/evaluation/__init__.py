"""Measures of a model through the device pipeline."""
