"""An answer names one option, whichever way it is written, or it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lora2_search.training.data.options import options_in, right_option
from lora2_search.training.data.wrong import Wrong


def right(options: list[Any] | str, answer: str) -> float:
    cell = options if isinstance(options, str) else json.dumps(options)
    return right_option(answer, options_in(cell))


@pytest.mark.parametrize(
    ("options", "answer", "number"),
    [
        (["2", "0", "1"], "B. 0", 1),
        (["2", "3", "4"], "2. 3", None),
        (["1", "2", "3"], "3", 2),
        (["0", "1", "2"], "1", 1),
        (["B", "A"], "B. A", 1),
        (["A", "B"], "A", 0),
        ([10, 2.50, "x"], "2.5", 1),
        (["John", "A. Smith"], "A. Smith", 1),
        ("A. fine\nB. dull", "B. dull", 1),
        ("C. fine\nD. dull", "D", 1),
        (["fine", "dull"], "1", 1),
        (["fine", "dull"], "C. fine", None),
    ],
)
def test_an_option_is_named_by_text_letter_both_or_number(
    options: list[str] | str, answer: str, number: int | None
) -> None:
    if number is None:
        with pytest.raises(Wrong, match="is not among the options"):
            right(options, answer)
    else:
        assert right(options, answer) == number


@pytest.mark.parametrize(
    ("options", "answer", "message"),
    [
        (["2", "0", "1"], "0", "'0' by its text, but '2' by its number from 0; .*'B. 0' or 'A. 2'"),
        (["1", "2", "3"], "1", "'1' by its text, but '2' by its number from 0"),
        (["B", "A"], "A", "'A' by its text, but 'B' by its letter; .*'B. A' or 'A. B'"),
        (["fine", "dull"], "B. fine", "'fine' by its text, but 'dull' by its letter"),
        ("A. B\nB. A", "A", "'A' by its text, but 'B' by its letter"),
    ],
)
def test_an_answer_that_names_two_options_is_refused(
    options: list[str] | str, answer: str, message: str
) -> None:
    with pytest.raises(Wrong, match=message):
        right(options, answer)
