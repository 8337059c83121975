"""The study of value_coef: what it does, what it does not, and which setting does what is expected of it.

The page is `docs/studies/value_coef.md`; `python -m benchmarks.value_coef` prints its tables.
"""
