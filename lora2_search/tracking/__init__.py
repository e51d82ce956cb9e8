"""Runs in MLflow, by way of a spool that is the truth."""
