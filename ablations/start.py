"""Does LoRA² from the start that learns hold its own against LoRA at the size that it serves?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("start", __doc__, CHANGES)
