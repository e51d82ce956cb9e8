"""The training of one run, its checkpoints and its scores."""
