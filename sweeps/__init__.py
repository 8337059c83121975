"""The orchestrator: composes, schedules, stops, records. Importing this package loads nothing heavy."""
