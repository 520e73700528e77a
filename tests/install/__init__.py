"""Environments of their own, with packages from an index: extras, the wheel, first steps."""
