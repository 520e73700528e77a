# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing: `make fuzz MINUTES=1`. docs/fuzzing.md says how."""
