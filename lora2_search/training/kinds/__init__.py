"""What differs by kind of task, one object each: collate, loss, predict, metrics."""
