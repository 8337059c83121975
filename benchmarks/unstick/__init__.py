"""Broken starting points that the unstick must mend by its own prescriptions: `make bench-unstick`."""
