"""Versioned prompts: a changed text is a new file, never an edit of one that has been sent."""
