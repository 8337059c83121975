"""Keep what is on record of a sweep: where the records are, under which names, and how they are written and read."""
