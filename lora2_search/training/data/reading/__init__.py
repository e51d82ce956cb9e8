"""Read a file of rows: every cell as the text that the file says, nothing guessed.

csv, tsv, jsonl, json and parquet become one ``Table``. What a column means (classes, numbers) is
decided later, by one rule over whole columns: ``training/data/labels.py``.
"""

from .file import READERS, read_file
from .table import Column, Table, shown

__all__ = ["READERS", "Column", "Table", "read_file", "shown"]
