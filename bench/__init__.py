"""Measurements with a peer beside each figure: `python -m bench` writes bench/RESULTS.md."""
