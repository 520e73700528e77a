"""Experiments over many runs: recipes, variants, two ways to find endpoints."""
