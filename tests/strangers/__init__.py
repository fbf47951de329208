"""Clients that know nothing of kquant, unchanged but for host and port, against the look-alike over real sockets."""
