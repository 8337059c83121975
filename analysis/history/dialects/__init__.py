"""Names, signs and factors of other programs: a table for each program, and the names that people give themselves."""
