"""What a study came to: the winner against head-only, and where to look next."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ...analysis import caveats, edges
from ...config import named_metric
from ...experiments import trial_run
from ...report import always
from ...search import Study
from ...store import ADAPTER_FOLDER, PAGE_FILE, Flag, RunRecord, invocation
from ...tracking import DEFAULT_PORT, address_of, is_server
from ...tracking import resolve as resolve_uri
from ...tracking import shown as shown_uri
from .rows import plain, short

SPLITS = ("validation", "test")


def study_result(study: Study, storage: Path | None, uri: str) -> dict[str, Any]:
    """Return a study's result as plain values; ``winner`` is ``None`` when no trial completed."""
    states = [trial.state for trial in study.trials]
    metric = study.space.objective.metric
    result: dict[str, Any] = {
        "name": study.name,
        "folder": str(study.folder),
        "interrupted": study.interrupted,
        "trials": {state: states.count(state) for state in sorted(set(states))},
        "winner": None,
        "constant": {},
        "head_only": _scores(study.reference, metric),
        "references": {
            name: {"settings": study.space.references[name], **_scores(record, metric)}
            for name, record in study.references.items()
        },
        "report": str(study.folder / PAGE_FILE),
        "mlflow": where_in_mlflow(study.folder, uri),
        "ui": command("ui", study.name, storage=storage, tracking_uri=uri),
    }
    best = trial_run(study)
    record = study.best.record if study.best else None
    if best is not None and study.best is not None:
        result["constant"] = _constant(record, best.metric) if record else {}
        result["winner"] = {
            "trial": study.best.number,
            "score": study.best.score,
            "settings": dict(best.settings),
            # What Optuna knows stands where the record is damaged.
            **{"metric": best.metric or "score", "validation": study.best.score},
            **_scores(record, best.metric),
            "shown": named_metric(best.metric or record.metric, record.classes)
            if record
            else best.metric or "score",
            "caveats": [*([study.best.damage] if study.best.damage else []), *_caveats(study)],
            "flags": [flag.model_dump() for flag in record.flags] if record else [],
            "counts": record.counts if record else {},
            "adapter": str(best.folder / ADAPTER_FOLDER),
            "train": command("train", "--from-study", study.name, storage=storage),
        }
    return result


def print_study(study: Study, result: dict[str, Any]) -> None:
    """Print a study's result for people."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    counted = ", ".join(f"{count} {state.lower()}" for state, count in result["trials"].items())
    console.print(f"\nStudy {study.name}: {len(study.trials)} trials ({counted}).")
    for note in study.notes:
        console.print(f"Note: {note}")
    winner = result["winner"]
    if winner is None:
        console.print("No trial was completed, so there is no winner. Why they ended:")
        for reason in dict.fromkeys(trial.reason for trial in study.trials if trial.reason):
            console.print(f"  {reason}")
    else:
        console.print(
            f"Winner: trial {winner['trial']}, by its {winner['shown']} on the validation split."
        )
        for caveat in winner["caveats"]:
            console.print(f"But: {caveat}")
        for flag in winner["flags"]:
            console.print(f"Health: {Flag(**flag)}")
        console.print()
        console.print(_against(winner, _beside(result), result["constant"]))
        settings = ", ".join(f"{key}={plain(value)}" for key, value in winner["settings"].items())
        console.print(f"\nSettings:    {settings}")
        if winner["counts"]:
            console.print(f"Parameters:  {_sizes(winner['counts'])}")
        console.print(f"Adapter:     {winner['adapter']}")
        console.print(f"Train it:    {winner['train']}")
    console.print(f"Report:      {result['report']}")
    console.print(f"MLflow:      {result['ui']}")
    if result["mlflow"]:
        console.print(f"             opens {result['mlflow']}")


def where_in_mlflow(folder: Path, uri: str) -> str | None:
    """Return the address of a folder's view, on its server or on the one that ``ui`` starts."""
    base = shown_uri(uri) if is_server(uri) else f"http://127.0.0.1:{DEFAULT_PORT}"
    return address_of(folder, uri, base)


def command(*words: str, storage: Path | None = None, tracking_uri: str | None = None) -> str:
    """Return a command line of ours, ready to paste."""
    parts = [*invocation(), *words]
    if storage is not None:
        parts += ["--storage", str(storage)]
    # A URI may hold a password, and the default one need not be said.
    if tracking_uri and tracking_uri not in (resolve_uri(), shown_uri(resolve_uri())):
        parts += ["--tracking-uri", shown_uri(tracking_uri)]
    return shlex.join(parts)


def _constant(record: RunRecord, metric: str | None) -> dict[str, Any]:
    """Return what the constant answer scores; nothing where the record does not tell."""
    if not record.constant:
        return {}
    name = metric or record.metric
    scores = {split: record.constant.get(f"{split}/{name}") for split in SPLITS}
    return {"answer": always(record), "metric": name, **scores}


def _scores(record: RunRecord | None, metric: str | None) -> dict[str, Any]:
    if record is None:
        return {}
    if record.status != "completed":
        return {"metric": metric or record.metric, "status": record.status}
    scores = {split: record.score(split, metric) for split in SPLITS}
    return {"metric": metric or record.metric, **scores}


def _caveats(study: Study) -> list[str]:
    scores = {trial.number: trial.score for trial in study.trials}
    metric = study.space.objective.metric
    said = caveats(scores, study.reference, metric, study.references)
    return said + (edges(study.space, study.best.params) if study.best else [])


def _beside(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the winner is compared with, by what it is called in the table."""
    rows = {}
    for name, told in result["references"].items():
        own = {key: value for key, value in told["settings"].items() if value != name}
        settings = ", ".join(f"{short(key)}={plain(value)}" for key, value in own.items())
        rows[f"{name} ({settings})" if settings else name] = told
    return {**rows, "head only": result["head_only"]}


def _against(
    winner: dict[str, Any], beside: dict[str, dict[str, Any]], constant: dict[str, Any]
) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(winner["shown"])
    for split in SPLITS:
        table.add_column(split, justify="right")
    rows = {f"winner (trial {winner['trial']})": winner, **beside}
    for name, scores in rows.items():
        table.add_row(name, *(_level(scores.get(split)) for split in SPLITS))
    for name, scores in beside.items():
        title = "difference" if len(beside) == 1 else f"winner − {name.partition(' (')[0]}"
        table.add_row(title, *(_difference(winner.get(s), scores.get(s)) for s in SPLITS))
    if constant:
        table.add_row(constant["answer"], *(_level(constant.get(split)) for split in SPLITS))
    return table


def _difference(ours: float | None, theirs: float | None) -> str:
    return "-" if ours is None or theirs is None else f"{ours - theirs:+z.4f}"


def _level(score: float | None) -> str:
    return "-" if score is None else f"{score:z.4f}"


def _sizes(counts: dict[str, int]) -> str:
    names = {
        "trained_adapter": "trained",
        "kept_adapter": "kept after pruning",
        "compressed_adapter": "compressed to a plain LoRA",
    }
    parts = [f"{counts[key]:,} {words}" for key, words in names.items() if key in counts]
    head = f"; head {counts['trained_head']:,}" if "trained_head" in counts else ""
    return f"adapter {', '.join(parts)}{head}"
