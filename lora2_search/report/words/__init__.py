"""Sentences that a suite's numbers allow."""
