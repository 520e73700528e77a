"""From a device's serial link to the service: frames, ports, uploads."""
