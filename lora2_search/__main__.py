"""``python -m lora2_search``."""

from .cli.app import main

main()
