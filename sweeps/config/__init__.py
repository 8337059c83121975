"""Turn YAML and the command line into frozen settings, and back."""
