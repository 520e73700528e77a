"""Helpers of the tests: builders, executors, makers, data."""
