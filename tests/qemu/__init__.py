"""Cross compiler and QEMU: firmware, boards, costs."""
