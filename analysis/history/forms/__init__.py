"""Forms of files that hold a run's numbers: tables, event files, results in JSON, RL-Zoo's files, printed text."""
