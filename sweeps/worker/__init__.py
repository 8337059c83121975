"""Train one trial in a separate process, and keep the trial's checkpoint."""
