"""The second look, on the server's side: what a device sends after a wake, and who hears it."""
