"""Study of value_coef: effects of the coefficient, and the settings that do what users expect of value_coef.

The page is `docs/studies/value_coef.md`; `python -m benchmarks.value_coef` prints its tables.
"""
