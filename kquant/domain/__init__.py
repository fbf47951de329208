"""Pure decisions: one module an owner, plus what they share (`owner.py`)."""
