"""Scorers behind one port; the heuristic needs no key."""
