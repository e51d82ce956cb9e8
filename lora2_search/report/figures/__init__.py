"""Figures of studies and suites."""
