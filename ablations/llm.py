"""Does LoRA² fine-tune a small language model better than LoRA, each at a rate of its own?"""

from _script import main

# Laid over the suite, as `--set` would: "seeds=20", "adapter.r=16", "arms.mine.adapter.gamma=0.5".
CHANGES: list[str] = []

if __name__ == "__main__":
    main("llm", __doc__, CHANGES)
