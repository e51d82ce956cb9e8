"""What is LoRA² with the recommended settings worth beside the methods a reviewer would name?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("rivals", __doc__, CHANGES)
