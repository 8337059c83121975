"""Log what the rules of the diagnosis read, in anyone's PPO loop, and in Stable-Baselines3's by a callback.

Needs torch, which `import unstuck` does not load: `unstuck.Probe` and `unstuck.SB3Probe` load this package when used.
"""
