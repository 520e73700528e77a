"""What the other packages agree on: metadata vectors, kernel sets."""
