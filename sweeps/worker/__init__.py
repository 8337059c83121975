"""Train one trial in a process of its own, and keep its checkpoint."""
