"""Rebuild, verify, why: a day told again from its log."""
