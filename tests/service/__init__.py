"""Gateway and service, over real streams and sockets."""
