"""From the spool to MLflow, each point once."""
