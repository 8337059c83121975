"""Study of the run that this project began with: three faults give the run's picture, and unsticking shows what moves.

`python -m benchmarks.stuck_run` prints the tables of docs/studies/stuck_run.md.
"""
