"""Points on disk, until MLflow has them."""
