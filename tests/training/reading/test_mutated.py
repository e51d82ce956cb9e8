"""Tables with something broken in them: read, or refused by us, and soon."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from lora2_search.cli.app import app
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.errors import UserError
from lora2_search.experiments.preflight import check_inputs
from lora2_search.training.data.load import load_data
from tests.conftest import sentences

SUFFIXES = ("csv", "tsv", "jsonl", "json", "parquet")
ODD = [
    b'"', b",", b"\t", b"\n", b"\r", b"\0", b";", b"\\", b"\xff", b"{", b"}", b"[", b"]", b":",
    b"1e999", b"NaN", b"Infinity", b"null", b"0" * 5000, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000,
    b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b",,,,,,,,", b'""', b"\\ud800", b"\xc2\x85",
]  # fmt: skip


def whole(folder: Path, suffix: str) -> bytes:
    rows = [(text, ("bad", "good")[label], stars) for text, label, stars in sentences(40)]
    table = pd.DataFrame(rows, columns=["review", "verdict", "stars"])
    path = folder / f"whole.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix in ("jsonl", "json"):
        table.to_json(path, orient="records", lines=suffix == "jsonl")
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    return path.read_bytes()


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Break something: cut, repeat, swap, delete or put in what has no business there."""
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(raw) + 1) for _ in range(2))
        lines = raw.split(b"\n")
        kind = rng.randrange(8)
        if kind == 0:
            raw = raw[:at]
        elif kind == 1:
            raw = raw[:at] + rng.choice(ODD) + raw[at:]
        elif kind == 2:
            raw = raw[:at] + raw[min(end, at + rng.randint(1, 40)) :]
        elif kind == 3:
            rng.shuffle(lines)
            raw = b"\n".join(lines)
        elif kind == 4:
            raw = raw.replace(rng.choice([b",", b'"', b"good", b"0.", b"\n"]), rng.choice(ODD))
        elif kind == 5:
            raw = b"\n".join(lines[: rng.randint(0, 12)])
        elif kind == 6:
            encoding = rng.choice(["utf-16", "utf-16-le", "cp500"])
            raw = raw.decode("utf-8", "replace").encode(encoding, "replace")
        else:
            raw = bytes(rng.randrange(256) for _ in range(rng.randint(0, 300)))
    return raw


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hundred_broken_tables_are_read_or_refused_in_bounded_time(
    suffix: str, tmp_path: Path, tiny_bert: Path
) -> None:
    rng = random.Random(suffix)
    raw = whole(tmp_path, suffix)
    path, out = tmp_path / f"d.{suffix}", tmp_path / "d.yaml"
    refused = 0
    for number in range(100):
        path.write_bytes(mutated(raw, rng))
        label = rng.choice(["verdict", "stars"])
        columns = {"data.path": str(path), "data.text": ["review"], "data.label": label}
        config = with_settings(RunConfig(task="sentiment"), {"task": "custom", **columns})
        config = with_settings(config, {"model.name_or_path": str(tiny_bert)})
        for step in (load_data, check_inputs):
            started = time.process_time()
            try:
                step(config)
            except UserError as error:
                refused += 1
                assert len(str(error)) < 2000
            assert time.process_time() - started < 10, (number, step)
        arguments = ["init", "--data", str(path), "--model", str(tiny_bert), "--out", str(out)]
        started = time.process_time()
        result = CliRunner().invoke(app, [*arguments, "--force"])
        assert result.exit_code in (0, 2), (number, result.output, result.exception)
        assert time.process_time() - started < 10, number
    assert refused > 50
