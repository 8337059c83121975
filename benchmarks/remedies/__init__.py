"""Measure what the first remedy of a diagnosis brings, with the fault left in.

`pairs` says which faults are planted in which worlds, `curable` which of them a setting can cure, `trials` trains and
diagnoses, `scoring` judges what a remedy brought.
"""
