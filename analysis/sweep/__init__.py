"""Analyse a whole sweep: its trials, importances, interactions, pruning and judgements."""
