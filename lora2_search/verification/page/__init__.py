"""A verification's page."""
