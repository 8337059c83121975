"""Train the members of one trial: by our learner, by Stable-Baselines3, or by another program (docs/trainers.md)."""
