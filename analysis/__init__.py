"""Read runs and diagnose them; never train. Importing the package loads neither torch nor ray."""
