"""Does it matter, from the base that learns, how values are ranked for pruning?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("scoring_recommended", __doc__, CHANGES)
