"""Check that the records of a sweep agree, and mend MLflow from the other two."""
