"""The published claims, measured on a model and data of one's own: one module a check."""
