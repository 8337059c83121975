"""Analyse a whole sweep: trials, importances, interactions, pruning and judgements."""
