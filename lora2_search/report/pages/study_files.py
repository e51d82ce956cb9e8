"""What a paper needs of a study: page, tables, figures, CSV, and what it cost."""

from __future__ import annotations

from pathlib import Path

from ...analysis import (
    StudyTable,
    choice_cells,
    givers,
    outcome_cells,
    read_study_table,
    rung_cells,
    scores_by_seed,
    seed_cells,
)
from ...store import PAGE_FILE, write_text
from ..figures.paper import FIGURES_FOLDER
from ..figures.study import write_study_figures
from ..figures.study_numbers import StudyNumbers
from ..tables.csv import Cell, csv_text
from ..tables.latex import latex_table
from ..tables.markdown import escaped, markdown_table
from ..tables.search_space import search_space_table
from ..tables.study import trials_table
from ..tables.trials import standings_table
from ..words.provenance import compute_statement
from .markdown import REPORT_FILE
from .study import StudySections, rendered, study_sections

SPACE_TABLE, TRIALS_TABLE, BASELINES_TABLE = "search_space.tex", "trials.tex", "baselines.tex"

TRIALS_CSV, WINNER_CSV = "trials.csv", "winner.csv"

COMPUTE_FILE = "compute.md"


def write_study_kit(folder: Path, out: Path | None = None) -> Path:
    """Write all that a study has to show.

    That is ``report.html``, ``report.md``, ``trials.csv`` (nothing rounded), ``trials.tex``,
    ``baselines.tex``, ``search_space.tex``, ``compute.md`` and ``figures/*.svg|pdf``.

    Args:
        folder: The study's folder.
        out: Where to write, made if absent; by default the study's folder.

    Returns:
        The path of the page.

    Raises:
        UserError: The folder holds no study.
    """
    table = read_study_table(folder)
    out = out or folder
    out.mkdir(parents=True, exist_ok=True)
    name, space = table.runs.space.name, table.runs.space
    caption = (
        f"Trials of study {name}, the best first; a score in brackets is the last of a trial that "
        "was stopped."
    )
    found = StudyNumbers(table)
    sections = study_sections(found)
    write_text(out / PAGE_FILE, rendered(sections))
    write_text(out / REPORT_FILE, _markdown(sections))
    if found.rows:
        against = standings_table(found.rows, table.metric, table.shown_metric)
        caption_of = _baselines_caption if table.confirmed is None else _fresh_caption
        text = latex_table(against, caption_of(name), f"tab:{name}-baselines")
        write_text(out / BASELINES_TABLE, text)
    write_text(out / TRIALS_CSV, csv_text(trial_table(table)))
    if table.confirmed is not None:
        write_text(out / WINNER_CSV, csv_text(fresh_table(table)))
    write_text(out / TRIALS_TABLE, latex_table(trials_table(table), caption, f"tab:{name}-trials"))
    write_text(out / SPACE_TABLE, search_space_table(space, len(table.trials)))
    write_text(out / COMPUTE_FILE, f"{escaped(_compute(table))}\n")
    write_study_figures(found, out / FIGURES_FOLDER)
    return out / PAGE_FILE


def _baselines_caption(name: str) -> str:
    return (
        f"Winner of study {name} against its baselines, one seed each: 95 % bootstrap intervals "
        "over test sentences; differences on the same sentences."
    )


def _fresh_caption(name: str) -> str:
    return (
        f"Winner of study {name} against its baselines: means over fresh seeds with 95 % intervals "
        "over seeds; differences on the same seeds."
    )


def _markdown(study: StudySections) -> str:
    """Return the study in Markdown: what it is, its winner, its baselines, its trials."""
    lines = [f"# {escaped(study.title)}", escaped(study.about)]
    lines += [f"**{escaped(note)}**" for note in study.notes]
    if study.winner:
        lines += [f"## Winner: trial {study.winner.number}", escaped(study.winner.settings)]
        remarks = [*study.winner.caveats, *study.winner.confirmed]
        lines += [f"* {escaped(remark)}" for remark in remarks]
        lines.append(escaped(study.winner.caution))
    if study.baselines.table:
        text = escaped(study.baselines.text)
        lines += ["## Winner against baselines", text, markdown_table(study.baselines.table)]
    if study.stopped:
        lines += ["## What was stopped, and why", *(f"* {escaped(r)}" for r in study.reasons)]
        lines.append(markdown_table(study.stopped))
    if study.rungs:
        lines += ["## Rungs", *(f"* {escaped(line)}" for line in study.rung_lines)]
        lines.append(markdown_table(study.rungs))
    lines += ["## Trials", markdown_table(study.trials)]
    return "\n\n".join(lines) + "\n"


def trial_table(table: StudyTable) -> list[dict[str, Cell]]:
    """Return one row per trial, by number: state, scores, searched settings, sizes, seconds.

    Where the winner is confirmed, ``choice`` is the mean on the seeds that one was chosen on, and
    ``winner`` says which one it is. With several seeds per trial, ``seeds`` is how many it has run,
    and ``seeds_mean`` the mean; the other scores, sizes and seconds are those of its first seed.
    """
    rows: list[dict[str, Cell]] = []
    outcomes = {item.number: item for item in table.outcomes}
    front = {item.number for item in table.front}
    given = givers(table.trials)
    for trial in table.trials:
        run = table.runs.trials.get(trial.number)
        row: dict[str, Cell] = {"trial": trial.number, "state": trial.state.name}
        row |= {"given_by": given.get(trial.number, "")} if given else {}
        row |= {f"setting.{name}": value for name, value in trial.params.items()}
        row |= outcome_cells(outcomes.get(trial.number), table.runs.space, trial.number in front)
        row |= rung_cells(table.climb, trial.number)
        row |= choice_cells(table.confirmed, trial.number)
        row |= seed_cells(scores_by_seed(trial), table.space)
        if run is not None:
            record = run.record
            row |= dict(sorted(record.scores.items()))
            row |= {f"parameters.{name}": count for name, count in sorted(record.counts.items())}
            row |= {"kept_rank": record.kept_rank, "seconds": record.seconds}
            row |= {"flags": " ".join(flag.name for flag in record.flags)}
            row |= {"fingerprint": record.fingerprint, "error": record.error or ""}
        rows.append(row | {"reason": str(trial.user_attrs.get("reason", ""))})
    return rows


def fresh_table(table: StudyTable) -> list[dict[str, Cell]]:
    """Return one row per run on a fresh seed: whose, for what, its state, scores, seconds."""
    found = table.confirmed
    assert found is not None
    rows: list[dict[str, Cell]] = []
    for key, run in table.runs.fresh.items():
        record, (name, _, seed) = run.record, key.rpartition("-seed")
        role = "choice" if int(seed) in found.seeds.choice else "report"
        row: dict[str, Cell] = {"run": name, "seed": int(seed), "role": role}
        row |= {"state": record.status, **dict(sorted(record.scores.items()))}
        row |= {"seconds": record.seconds, "fingerprint": record.fingerprint}
        rows.append(row | {"error": record.error or ""})
    return rows


def _compute(table: StudyTable) -> str:
    outside = [*table.runs.references.values()]
    outside += [table.runs.reference] if table.runs.reference else []
    outside += [
        *table.runs.seeds.values(),
        *table.runs.fresh.values(),
        *table.runs.rungs.values(),
    ]
    return compute_statement([run.record for run in [*table.runs.trials.values(), *outside]])
