"""Branch a recorded run into arms beside an untouched control, in stages, and judge which change works."""
