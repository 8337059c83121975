"""Measure the quality of the diagnosis on strangers' runs: Stable-Baselines3 with faults that people make in scripts.

The diagnosis reads what Stable-Baselines3's own logger writes, and nothing else. `worlds` says what is trained on,
`healthy` and `faults` what is trained and what the right answers are, `plants` how a script goes wrong, `training`
trains and keeps logs and scores, `scoring` diagnoses. Halves, harm and intervals are those of `benchmarks.diagnosis`.
"""
