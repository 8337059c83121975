"""Explain trials: live diagnosis, and reports when a sweep has ended; the bridge to the analysis."""
