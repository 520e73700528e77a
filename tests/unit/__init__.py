"""No compiler but the host's, no QEMU, no TensorFlow."""
