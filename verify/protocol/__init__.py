# SPDX-License-Identifier: Apache-2.0
"""What gateway, service and training share: frames, HTTP documents, the feature window."""
