"""Decide which trials to stop early, and why."""
