"""A scoring that an installed package brings: named in YAML, trained with, resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lora2_search.adapter.config import Lora2Config
from lora2_search.adapter.scoring.interface import ScoringContext, ScoringError
from lora2_search.adapter.scoring.registry import new_scoring
from lora2_search.config.vocabulary import SCORINGS, scorings
from lora2_search.errors import UserError
from tests.support.adapters import adapted_bert, matrices, optimizer_of
from tests.support.adapters import run as train

SCORINGS_OF_ONES_OWN = """
import torch

class Gradient:
    def __init__(self, context):
        assert len(context.names) == len(context.matrices) and context.config.beta1 == 0.85
        self.sums = torch.zeros(sum(len(m.values) for m in context.matrices))
    def update(self, matrices):
        self.sums += torch.cat([m.values.grad.abs() for m in matrices])
    def scores(self):
        return self.sums
    def state(self):
        return {"sums": self.sums}
    def load_state(self, state):
        self.sums.copy_(state["sums"])

class Short(Gradient):
    def scores(self):
        return self.sums[1:]

class Silent:
    def __init__(self, context):
        pass

def broken(context):
    raise KeyError("what")
"""
ENTRY_POINTS = """[lora2_search.scoring]
gradient = ones_own:Gradient
short = ones_own:Short
silent = ones_own:Silent
broken = ones_own:broken
missing = ones_own:NotThere
reduced = ones_own:broken
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip leaves it: a module, and its distribution's metadata."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "ones_own.py").write_text(SCORINGS_OF_ONES_OWN)
    info = folder / "ones_own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ones-own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(site: Path, program: str, *arguments: str) -> str:
    # Run from here: the package under test need not be installed.
    path = os.pathsep.join([str(site), str(Path(__file__).parents[3])])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


TRAINED = """
import sys
from pathlib import Path
import torch
from lora2_search.config.run import RunConfig, validate
from lora2_search.config.yaml import read_yaml
from lora2_search.training.loop import run as training

config = validate(read_yaml(Path(sys.argv[1])), RunConfig)
whole, parts = Path(sys.argv[2]), Path(sys.argv[3])
record = training.run(config, whole)
reports = training.iterate(config, parts)
next(reports), next(reports)
assert (parts / "checkpoint").is_dir()
reports.close()
resumed = training.run(config, parts)

from safetensors.torch import load_file
name = Path("adapter", "adapter_model.safetensors")
ours, theirs = load_file(whole / name), load_file(parts / name)
assert ours and all(torch.equal(ours[name], theirs[name]) for name in ours)
assert record.rank_pattern == resumed.rank_pattern
print(record.status, sum(record.rank_pattern.values()), len(record.rank_pattern))
"""


def test_a_scoring_of_ones_own_trains_from_yaml_and_resumes_bit_for_bit(
    site: Path, tmp_path: Path, tiny_bert: Path, reviews_csv: Path
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(
        f"data: {{path: {reviews_csv}, text: [review], label: verdict}}\n"
        f"model: {{name_or_path: {tiny_bert}}}\n"
        "adapter: {k: 3, r: 4, target_rank: 2, scoring: gradient, t_final: 0.3}\n"
        "training: {steps: 8, evaluations: 4, batch_size: 8, device: cpu}\n"
    )
    said = run(site, TRAINED, str(config), str(tmp_path / "whole"), str(tmp_path / "parts"))
    status, kept, count = said.split()[-3:]
    assert (status, int(kept)) == ("completed", 2 * int(count))


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(site)
    scorings.cache_clear()
    yield
    scorings.cache_clear()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("short", r"Short\.scores\(\) must give one score .* shape \(48,\), but gave \(47,\)"),
        ("silent", "ones_own:Silent.*update, scores, state, load_state is missing"),
        ("broken", r"'broken' \(entry point ones_own:broken\).*KeyError: 'what'"),
        ("missing", "ones_own:NotThere.*AttributeError"),
    ],
)
@pytest.mark.usefixtures("installed")
def test_what_an_entry_point_gets_wrong_is_said_by_its_name(name: str, sentence: str) -> None:
    model = adapted_bert(k=3, r=4, target_rank=2, t_init=0, t_final=1, scoring=name)
    with pytest.raises(ScoringError, match=sentence):
        model.base_model.set_total_steps(4)
        train(model, optimizer_of(model), 1, 4)


@pytest.mark.usefixtures("installed")
def test_names_of_ours_come_first_and_cannot_be_taken() -> None:
    assert scorings() == (*SCORINGS, "broken", "gradient", "missing", "short", "silent")
    adapted_bert(k=3, r=4, target_rank=2, scoring="reduced").base_model.set_total_steps(4)


def test_an_unknown_scoring_names_the_nearest_and_is_a_mistake_of_the_user() -> None:
    with pytest.raises(ValueError, match='`scoring` must be one of.*did you mean "magnitude"'):
        Lora2Config(scoring="magnitud")
    context = ScoringContext(matrices([3], 4, [(3, 2)]), ["a"], Lora2Config())
    with pytest.raises(ScoringError, match='"thinned"') as caught:
        new_scoring("thined", context)
    assert isinstance(caught.value, UserError) and isinstance(caught.value, ValueError)


def test_inference_needs_no_scoring() -> None:
    assert Lora2Config(scoring="from-elsewhere", inference_mode=True).scoring == "from-elsewhere"
