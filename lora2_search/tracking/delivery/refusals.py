"""Why MLflow does not have something yet: it never will, cannot now, or its experiment is gone."""

from __future__ import annotations


class Refused(Exception):
    """MLflow will never take this: bad data, or a run that was deleted."""


class Unavailable(Exception):
    """MLflow cannot take this now: try again later."""


class ExperimentDeleted(Exception):
    """Somebody deleted the study's experiment; it is not brought back behind their back."""
