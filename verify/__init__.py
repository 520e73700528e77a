"""The verifier, on the server's side: what a device sends after a wake, and who receives it."""
