"""Score the same problems here and with lm-evaluation-harness, and compare them one by one.

`python -m benchmarks.harness --task reviews` takes SmolLM2 as it is; `--run NAME` a language model
that was trained, which is exported and scored by the command that `export` prints. It needs the
package `lm_eval`, and ends with code 1 where a verdict differs.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks.llm import config as packaged
from lora2_search import api
from lora2_search.config.run import RunConfig, with_settings
from lora2_search.training.kinds.answers import answer_in
from lora2_search.training.kinds.choice import ChoicePredictions
from lora2_search.training.kinds.generation import GeneratedPredictions
from lora2_search.training.loop.prepare import prepare
from lora2_search.training.models.load import model_location

NAME = "same_problems"

# How SmolLM2 as it is answers the packaged tasks.
AS_IT_IS: dict[str, dict[str, Any]] = {
    "reviews": {"language.max_new_tokens": 3},
    "asdiv": {"language.max_new_tokens": 16, "language.answer": r"-?\d[\d,.]*"},
    "commonsense": {},
    "siqa": {},
}

# Blanks and punctuation around a text, which do not count here.
_IGNORED = r"""[\s.,;:!?"'()\[\]*`]+"""
AROUND = [f"^{_IGNORED}", f"{_IGNORED}$"]

# What the harness's own gsm8k ignores of a number.
OF_NUMBERS = [",", r"\$", r"\.$"]


@dataclass(frozen=True)
class Scored:
    """Problems that were scored here.

    Attributes:
        said: Predictions.
        config: How the model was asked and judged.
        command: What lets the harness score the same model, with ``TASK`` for the task.
    """

    said: GeneratedPredictions | ChoicePredictions
    config: RunConfig
    command: str


def as_it_is(task: str, examples: int) -> Scored:
    """Score SmolLM2 without training."""
    size = {"data.test_size": examples, "data.max_length": 1024, "training.eval_batch_size": 8}
    config = with_settings(
        packaged(), {"task": task, "method": "no-training", **size, **AS_IT_IS[task]}
    )
    said: Any = prepare(config).predict("test")
    arguments = shlex.quote(f"pretrained={model_location(config.model)},dtype=float32")
    command = f"lm_eval --model hf --model_args {arguments} --tasks TASK --batch_size 8"
    return Scored(said, config, command)


def of_run(run: str, task: str, examples: int, folder: Path) -> Scored:
    """Score what a run left, and export it."""
    found = api.evaluate(run, task, overrides=[f"data.test_size={examples}"])
    line = [sys.executable, "-m", "lora2_search", "export", run, "--out", folder / "lora", "--json"]
    printed = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    said: Any = found.scored.said
    return Scored(said, found.run.config, json.loads(printed)["lm_eval"])


def write_task(scored: Scored, folder: Path) -> None:
    """Write the problems as a task of the harness: a YAML file and a jsonl file."""
    file = folder / "problems.jsonl"
    task: dict[str, Any] = {
        "task": NAME,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
        "num_fewshot": 0,
        "doc_to_text": "prompt",
        "doc_to_target": "right",
    }
    said = scored.said
    if isinstance(said, ChoicePredictions):
        right: list[Any] = said.labels.astype(int).tolist()
        more: list[dict[str, Any]] = [{"options": options} for options in said.options]
        metrics: list[dict[str, Any]] = [{"metric": name} for name in ("acc", "acc_bytes")]
        task |= {"output_type": "multiple_choice", "doc_to_choice": "options"}
    else:
        language = scored.config.language
        right = [answer_in(text, language.answer) or text for text in said.answers]
        more = [{} for _ in right]
        ignored = AROUND if language.answer is None else [*AROUND, *OF_NUMBERS]
        metrics = [{"metric": "exact_match", "ignore_case": True, "regexes_to_ignore": ignored}]
        stop = {"until": [], "do_sample": False, "max_gen_toks": language.max_new_tokens}
        task |= {"output_type": "generate_until", "generation_kwargs": stop}
        if language.answer is not None:
            last = {"function": "regex", "regex_pattern": language.answer, "group_select": -1}
            steps = [last, {"function": "take_first"}]
            task["filter_list"] = [{"name": "answer", "filter": steps}]
    mean = {"aggregation": "mean", "higher_is_better": True}
    task["metric_list"] = [metric | mean for metric in metrics]
    (folder / f"{NAME}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    rows = (
        {"prompt": prompt, "right": answer, **row}
        for prompt, answer, row in zip(said.prompts, right, more, strict=True)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def by_harness(scored: Scored, folder: Path) -> list[dict[str, Any]]:
    """Let the harness score the problems; return what it says of each, in their order."""
    write_task(scored, folder)
    _, *given = shlex.split(scored.command.replace(" TASK ", f" {NAME} "))
    out = folder / "out"
    places = ["--include_path", str(folder), "--output_path", str(out), "--log_samples"]
    command = [sys.executable, "-m", "lm_eval", *given, *places]
    alone = {"HF_DATASETS_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, env={**os.environ, **alone}, stdout=subprocess.DEVNULL)
    (file,) = out.rglob(f"samples_{NAME}_*.jsonl")
    said = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return sorted(said, key=lambda row: int(row["doc_id"]))


@dataclass(frozen=True)
class Metric:
    """A metric of both.

    Attributes:
        name: Here and there.
        ours: Whether each problem is answered right, ``[n]``.
        theirs: The same, by the harness.
    """

    name: str
    ours: NDArray[np.bool_]
    theirs: NDArray[np.bool_]

    @property
    def apart(self) -> NDArray[np.intp]:
        """Numbers of the problems of which the verdicts differ."""
        return np.flatnonzero(self.ours != self.theirs)


def of_choices(
    said: ChoicePredictions, theirs: list[dict[str, Any]]
) -> tuple[list[Metric], list[str], str]:
    """Return the metrics, what is said of each problem, and how far likelihoods differ."""
    other = [[float(pair[0]) for pair in row["filtered_resps"]] for row in theirs]
    own = [row[: len(each)].tolist() for row, each in zip(said.likelihoods, other, strict=True)]
    far = max(np.abs(np.subtract(a, b)).max() for a, b in zip(own, other, strict=True))
    metrics = [
        Metric("accuracy / acc", said.right, verdicts(theirs, "acc")),
        Metric(
            "accuracy_norm / acc_bytes",
            said.normed_values == said.labels,
            verdicts(theirs, "acc_bytes"),
        ),
    ]
    told = [f"{a} / {b}" for a, b in zip(own, other, strict=True)]
    return metrics, told, f"largest difference of a ln p: {far:.1e}"


def of_texts(
    said: GeneratedPredictions, theirs: list[dict[str, Any]]
) -> tuple[list[Metric], list[str], str]:
    """Return the metric, what is said of each problem, and how many texts are the same."""
    other = [row["resps"][0][0] for row in theirs]
    same = sum(a == b for a, b in zip(said.generated, other, strict=True))
    told = [
        f"{a!r} / {b!r}, right is {right!r}"
        for a, b, right in zip(said.generated, other, said.answers, strict=True)
    ]
    metrics = [Metric("exact_match", said.right, verdicts(theirs, "exact_match"))]
    return metrics, told, f"generated texts that are the same: {same} of {len(other)}"


def verdicts(theirs: list[dict[str, Any]], metric: str) -> NDArray[np.bool_]:
    return np.array([bool(row[metric]) for row in theirs])


def compare(scored: Scored, folder: Path) -> bool:
    """Print both scores of every metric, and the problems on which they differ."""
    theirs, said = by_harness(scored, folder), scored.said
    if isinstance(said, ChoicePredictions):
        metrics, told, note = of_choices(said, theirs)
    else:
        metrics, told, note = of_texts(said, theirs)
    print(f"{len(said)} problems; {note}")
    print("| metric | ours | lm-evaluation-harness | same verdict |\n| --- | --- | --- | --- |")
    for metric in metrics:
        same = f"{len(said) - len(metric.apart)} of {len(said)}"
        print(f"| {metric.name} | {metric.ours.mean():.4f} | {metric.theirs.mean():.4f} | {same} |")
    for metric in metrics:
        for row in metric.apart:
            print(f"{metric.name}, problem {row}: ours / theirs: {told[row]}")
    return not any(len(metric.apart) for metric in metrics)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="a trained language model; default: SmolLM2 as it is")
    parser.add_argument("--task", default="reviews", help="packaged; with --run also a file")
    parser.add_argument("--examples", type=int, default=200, help="of a packaged task")
    given = parser.parse_args()
    if given.run is None and given.task not in AS_IT_IS:
        parser.error(f"--task {given.task}: without --run, one of {', '.join(AS_IT_IS)}")
    with tempfile.TemporaryDirectory() as name:
        here = Path(name)
        if given.run is None:
            chosen = as_it_is(given.task, given.examples)
        else:
            chosen = of_run(given.run, given.task, given.examples, here)
        sys.exit(0 if compare(chosen, here) else 1)
