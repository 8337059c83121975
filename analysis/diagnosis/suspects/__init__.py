"""Usual suspects of runs that learn nothing: what numbers say for and against each, and which are named."""
