"""Where research comes from: one file a service behind the port of `port.py`. Every one of them is optional."""
