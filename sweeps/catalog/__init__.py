"""List, show, stop and delete the sweeps that a folder holds, and serve the pages of MLflow and Optuna's dashboard."""
