"""PPO and its environments: torch, numpy and gymnasium only.

Knows no Hydra, Ray, Optuna or MLflow. Importing this package loads nothing heavy; import the module
that you need (`rl.learner`, `rl.data`, `rl.envs`).
"""
