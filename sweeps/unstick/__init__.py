"""Branch a recorded run into arms: which run, which arms, their milestones and stages, and the verdict."""
