"""What does PEFT's comparison of methods say with seeds, and with LoRA² in it? Needs a GPU."""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("metamath", __doc__, CHANGES)
