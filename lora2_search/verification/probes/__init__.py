"""Measurements inside a training run."""
