"""Hosts that run the owners: Pykka threads, or one thread on a virtual clock."""
