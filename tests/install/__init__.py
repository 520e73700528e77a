"""Environments of their own: extras, the wheel, a new user's first steps."""
