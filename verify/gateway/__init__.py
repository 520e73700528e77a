# SPDX-License-Identifier: Apache-2.0
"""From a device's serial link to the service: frames, ports, uploads."""
