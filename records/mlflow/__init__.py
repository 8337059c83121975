"""Write a sweep to MLflow, and read the runs back."""
