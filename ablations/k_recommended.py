"""From the base that learns: how many planes, and how wide an outer one?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("k_recommended", __doc__, CHANGES)
