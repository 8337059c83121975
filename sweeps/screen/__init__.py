"""Show the progress and the result of a sweep, and the commands to type next."""
