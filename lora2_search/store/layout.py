"""What the files and folders of a study or a suite are called; those of a run: see ``record``."""

from __future__ import annotations

PAGE_FILE = "report.html"

SPACE_FILE = "space.yaml"

# Optuna's study: SQLite, or on a folder that several machines may share a journal.
STUDY_FILE = "study.db"

JOURNAL_FILE = "study.journal"

SUITE_FILE = "suite.yaml"

# Of the two files of a checkpoint the one that is read last.
CHECKPOINT_STATE = "state.json"

TRIALS_FOLDER = "trials"

# Runs outside a study's search, a folder each.
REFERENCES_FOLDER = "reference"

# Runs of a study's trials on other seeds than the first, a folder each.
SEEDS_FOLDER = "seeds"

# Runs that confirm a study's winner on fresh seeds, a folder each.
WINNER_FOLDER = "winner"

# Runs of a halved study above its first rung, a folder each.
RUNGS_FOLDER = "rungs"

# Runs of a suite's arms, and those that tune the arms before.
RUNS_FOLDER = "runs"

TUNING_FOLDER = "tuning"

# Of the process that runs it.
LOCK_FILE = "lock"

OWNER_FILE = "owner.json"

# The same in a bucket: the one with the highest number counts.
LEASE_PREFIX = "driver-"

# Below a study or a suite: a folder for each run.
RUN_FOLDERS = (
    *(TRIALS_FOLDER, REFERENCES_FOLDER, SEEDS_FOLDER, WINNER_FOLDER, RUNGS_FOLDER),
    *(RUNS_FOLDER, TUNING_FOLDER),
)
