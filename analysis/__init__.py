"""Read runs and say what they mean; never train. Importing this package loads neither torch nor ray."""
