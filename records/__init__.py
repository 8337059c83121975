"""Keep the records of a sweep: places, names, writing and reading."""
