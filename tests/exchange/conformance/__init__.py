"""The look-alike over real sockets, held against the protocol document table by table."""
