"""Reads runs and says what they mean; never trains. Importing this package loads neither torch nor ray."""
