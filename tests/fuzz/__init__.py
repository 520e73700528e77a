"""Coverage-guided fuzzing: `make fuzz MINUTES=1`. docs/fuzzing.md says how."""
