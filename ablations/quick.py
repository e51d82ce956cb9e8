"""Does LoRA² learn here at all, and do two of its parts earn their keep?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("quick", __doc__, CHANGES)
