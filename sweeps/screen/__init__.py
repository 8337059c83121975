"""Show what the user sees of a sweep, and what to type next."""
