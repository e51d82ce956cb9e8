"""The suite rivals on numbers instead of classes, with fewer arms."""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("rivals_ratings", __doc__, CHANGES)
