"""Projections of the log that the CLI, reports and replay share."""
