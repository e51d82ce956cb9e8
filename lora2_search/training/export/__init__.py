"""Adapters for others: saved, cut, described, and the Trainer's callback."""
