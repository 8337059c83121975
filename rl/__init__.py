"""PPO and its environments: torch, numpy and gymnasium only.

The package knows no Hydra, Ray, Optuna or MLflow. Importing the package loads nothing heavy; import the module that you
need (`rl.learner`, `rl.data`, `rl.envs`).
"""
