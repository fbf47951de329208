"""What KIS tells by itself, over its websocket: frames to records, the protocol of a connection, the threads that keep it."""
