"""One Markdown report of a suite: the verdict first, then the numbers that it was made from."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from ..training.record import RunRecord, write_text
from .comparison import BASE, Analysis, analyse
from .health import health_lines
from .ranks import arm_ranks
from .records import SUITE_FILE, SuiteRuns, read_suite
from .tables import arm_rows, markdown_table, seed_rows, sentence_rows
from .verdict import details, headline, not_tested, notes

REPORT_FILE = "report.md"

_ABOUT_SEEDS = """\
*Does an arm differ on this test set, when trained again with other seeds?* Arm minus reference,
paired by seed: the seeds of a pair share data order and every start weight that both arms have.
95 % t interval of the mean difference; p of the paired t test; Holm's correction over the {family}
comparison(s) named before the run; the exact sign-flip test beside it, corrected in the same way,
from the number of seeds with which it can reject at all. {floor}"""

_ABOUT_SENTENCES = """\
*Would it differ on new sentences too?* The same differences {how}
The last columns say where the chance in a difference comes from: seeds, sentences, or both
together (how a sentence falls out with a seed)."""

_CROSSED = """sentence by sentence, with seeds and sentences both
taken as samples (crossed random effects, Satterthwaite's degrees of freedom), corrected apart."""

_BOOTSTRAP = """with seeds and sentences drawn anew together
(two-way bootstrap: this metric is no mean over sentences). Below 20 seeds its interval is too
narrow, so read it as the least uncertainty there is."""

_BY_HAND = """\
```python
from pathlib import Path
import pandas as pd
from lora2_search.training.tasks import score

def test_score(arm, seed):
    file = Path(f"runs/{{arm}}-seed{{seed}}/predictions.parquet")
    if not file.exists():
        return float("nan")
    rows = pd.read_parquet(file).query("split == 'test'")
    return score("{metric}", rows.label.to_numpy(), rows.prediction.to_numpy(){classes})

seeds = {seeds}
arms = {arms}
scores = pd.DataFrame({{arm: [test_score(arm, seed) for seed in seeds] for arm in arms}}, seeds)
{diverged}print(scores)
print(scores.sub(scores["base"], axis=0).agg(["mean", "std", "count"]))
```"""


def write_suite_report(folder: Path) -> Path:
    """Write ``report.md`` of a suite's folder, from its records alone, and return its path.

    A suite that is still running gets a report of what there is.

    Raises:
        UserError: The folder holds no suite.
    """
    path = folder / REPORT_FILE
    write_text(path, suite_report(analyse(read_suite(folder))))
    return path


def suite_report(analysis: Analysis) -> str:
    """Return the report of a suite as Markdown."""
    suite = analysis.suite
    parts = [
        f"# Suite {suite.name}",
        f"> {headline(analysis)}",
        *details(analysis),
        *_list("## Missing, failed, diverged", notes(analysis)),
        "## Over new seeds, on this test set",
        _ABOUT_SEEDS.format(family=len(analysis.family), floor=_floor_words(analysis)),
        markdown_table(seed_rows(analysis)),
        "## On new sentences too",
        _ABOUT_SENTENCES.format(how=_CROSSED if suite.metric == "accuracy" else _BOOTSTRAP),
        markdown_table(sentence_rows(analysis)),
        "## Arms",
        _about_arms(suite),
        markdown_table(arm_rows(analysis)),
        *_list("## Health flags", health_lines(suite)),
        *_kept_ranks(suite),
        *_list("## Not tested", not_tested(analysis)),
        "## Check it by hand",
        f"In `{suite.folder}`:",
        _by_hand(analysis),
        "## Run it again",
        f"```\n{again(suite)}\n```",
        *_provenance(suite),
    ]
    return "\n\n".join(parts) + "\n"


def again(suite: SuiteRuns) -> str:
    """Return the command that runs the same suite under another name."""
    file = shlex.quote(str(suite.folder / SUITE_FILE))
    return f"lora2-search ablate --suite {file} --set name={suite.name}-again"


def _floor_words(analysis: Analysis) -> str:
    if analysis.floor is None:
        return ""
    return (
        f"The last row, {BASE} against {analysis.floor.reference}, is tested first and apart: it "
        "tells whether the suite was trained enough for the others to mean anything."
    )


def _about_arms(suite: SuiteRuns) -> str:
    sizes = next((run.record.sizes for run in suite.runs.values() if run.record.sizes), {})
    told = ", ".join(f"{count:,} {name}" for name, count in sizes.items())
    return (
        f"Test score: mean ± standard deviation over seeds. Sentences: {told or 'unknown'}. "
        "Parameters: *trained*; *kept* after pruning; *compressed* to a plain LoRA of the kept "
        "rank, which is what would be served. Seconds with set-up and evaluation."
    )


def _kept_ranks(suite: SuiteRuns) -> list[str]:
    parts = arm_ranks(suite)
    about = "Mean over the complete runs, by block and kind of module."
    return ["## Kept ranks", about, *parts] if parts else []


def _by_hand(analysis: Analysis) -> str:
    suite = analysis.suite
    diverged = "".join(
        f'scores.loc[{seed}, "{arm.name}"] = {arm.scores[seed]}  # diverged: the commonest class\n'
        for arm in analysis.arms
        for seed in arm.diverged
    )
    return _BY_HAND.format(
        metric=suite.metric,
        classes=f", {suite.classes}" if suite.classes else "",
        seeds=list(suite.seeds),
        arms=list(suite.arms),
        diverged=diverged,
    )


def _provenance(suite: SuiteRuns) -> list[str]:
    records = [run.record for run in suite.runs.values()]
    if not records:
        return []
    lines = [
        f"Commit: {_distinct(_commit(record) for record in records)}",
        f"Data (sha256): {_distinct(record.data_hash[:16] for record in records)}",
        f"Device: {_distinct(f'{r.device}, {r.threads} thread(s)' for r in records)}",
        "Versions: "
        + _distinct(
            ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
            for record in records
        ),
    ]
    return _list("## Made with", lines)


def _commit(record: RunRecord) -> str:
    if record.commit is None:
        return "not run from a checkout"
    return record.commit + (" with uncommitted changes" if record.dirty else "")


def _distinct(values: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(value for value in values if value)) or "unknown"


def _list(title: str, lines: Iterable[str]) -> list[str]:
    items = [f"- {line}" for line in lines]
    return [title, "\n".join(items)] if items else []
