"""What is asked and ordered over REST: one line a key, roles on it, typed calls, and the recorded requests they serve."""
