"""The verification networks: their examples, training, thresholds and measures."""
