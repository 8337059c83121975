"""Place trials by Ray Tune, and stop a sweep in order; the only room that imports Ray, but for the worker."""
