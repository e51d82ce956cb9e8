"""The scripts of docs/python.md, run as they stand there on a tiny model and a small file."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
SCRIPTS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)

TOLD = {
    "train": ["completed", "test/accuracy"],
    "tune": ["training.lr", "COMPLETE", "probability_good", "True () ()"],
    "ablate": ["no-regulariser", "report.md {}"],
    "verify": ["start, merge; "],
}


def test_there_is_a_script_for_each() -> None:
    assert [re.findall(r"lora2_search\.(\w+)\(", script)[0] for script in SCRIPTS] == list(TOLD)


@pytest.mark.parametrize(
    "verb", ["train", *(pytest.param(verb, marks=pytest.mark.slow) for verb in list(TOLD)[1:])]
)
def test_the_script_runs(
    verb: str, tiny_bert: Path, reviews_csv: Path, home_with_store: Path, tmp_path: Path
) -> None:
    shutil.copy(reviews_csv, tmp_path / "reviews.csv")
    text = SCRIPTS[list(TOLD).index(verb)].replace('"minilm"', repr(str(tiny_bert)))
    assert str(tiny_bert) in text
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for words in TOLD[verb]:
        assert words in done.stdout
