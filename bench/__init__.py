"""What the firmware costs, counted and not timed: instructions, flash, RAM and stack."""
