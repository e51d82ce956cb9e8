"""Suites that isolate what each part of the method is worth."""
