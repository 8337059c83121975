"""Measure the quality of the diagnosis on runs with planted faults and on healthy runs.

A run is what one seed records: its metrics by iteration and its settings, nothing about the fault. `worlds` says what
is trained on, `healthy` and `faults` what is trained, `split` which half is kept out, `training` makes the records,
`harm` judges which faults hurt, `scoring` diagnoses every run at each of its evaluations.
"""
