"""Write reports of runs and sweeps."""
