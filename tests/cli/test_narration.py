from __future__ import annotations

import pytest

from lora2_search.cli.console.say import narrator


@pytest.mark.parametrize(("as_json", "out", "err"), [(False, "x\n", ""), (True, "", "x\n")])
def test_narration_is_on_stdout_unless_that_is_for_json(
    as_json: bool, out: str, err: str, capsys: pytest.CaptureFixture[str]
) -> None:
    narrator(as_json)("x")
    assert capsys.readouterr() == (out, err)
