"""Run one sweep from start to end."""
