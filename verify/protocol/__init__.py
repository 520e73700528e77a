"""What gateway, service and training share: frames, HTTP documents, the feature window."""
