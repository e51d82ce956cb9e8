"""``python -m lora2_search``."""

from .cli import main

main()
