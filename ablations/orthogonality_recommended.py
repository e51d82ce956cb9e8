"""Does orthogonality help the base that learns, and which kind of it?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("orthogonality_recommended", __doc__, CHANGES)
