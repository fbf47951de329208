"""The command line, and the only room that wires the others together."""
