"""The sweeps on record: which there are, what each one holds, its pages, its end, and its removal."""
