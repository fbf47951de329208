"""Peer code: runs in `.venv-bench`, imports nothing of kquant, answers one JSON line to each JSON line."""
