"""The same bits everywhere: references, interpreters, host C, QEMU."""
