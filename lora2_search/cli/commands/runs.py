"""``runs list | show | sync``: what was run, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from ...config import named_metric
from ...config.space import HEAD_ONLY, Space
from ...errors import UserError
from ...experiments import Lost, Named, all_items, changed, find_item
from ...report import constant_line, rung_lines, winner_lines
from ...search import climb_of, seeds_told, winner_of
from ...store import Damaged, Flag, RunRecord, command_line, storage_option
from ..console.rows import duration, number, print_json, print_rows
from ..console.say import cli_message, narrator
from ..console.say import say as complain

_RESUME = "resume with"

# Scripts read it by this name.
_JSON_RESUME = "go on with"

_VERBS = {"study": "tune", "suite": "ablate", "run": "train"}


@dataclass(frozen=True)
class Overview:
    """One row of ``runs list``.

    Attributes:
        shown: The metric as people read it: F1 names its class.
        score: The best run's, on the validation split.
        begun: ISO time in UTC.
        resume: The command that resumes it, where it was stopped.
    """

    name: str
    kind: str
    state: str
    folder: str
    runs: str = ""
    best: str = ""
    metric: str = ""
    shown: str = ""
    score: float | None = None
    begun: str = ""
    resume: str | None = None

    def as_json(self) -> dict[str, object]:
        """Return it as ``--json`` prints it."""
        return renamed(vars(self), {"resume": _JSON_RESUME})

    def cells(self) -> dict[str, object]:
        """Return it as the table shows it, by column."""
        metric = {"metric": self.shown or self.metric}
        validation = {"validation": None if self.score is None else number(self.score)}
        return {**vars(self), **metric, **validation, _RESUME: self.resume}


@dataclass(frozen=True)
class RunRow:
    """One row of ``runs show``; of a run that has left no record, only what is known.

    Attributes:
        settings: The values of what varies between the runs.
        shown: The metric as people read it: F1 names its class.
        step: Steps done of steps in all.
        outcome: Of a trial, its objectives, whether it is on their front, and whether it meets the
            constraints; empty where the study has one objective and no constraint.
    """

    run: str
    state: str
    settings: Mapping[str, object]
    validation: float | None = None
    test: float | None = None
    metric: str | None = None
    shown: str = ""
    step: str | None = None
    kept_rank: int | None = None
    seconds: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    peak_mb: float | None = None
    outcome: Mapping[str, float | bool | None] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    error: str = ""

    def as_json(self) -> dict[str, object]:
        """Return it as ``--json`` prints it."""
        return renamed(vars(self), {"kept_rank": "kept rank", "peak_mb": "peak MB"})

    def cells(self) -> dict[str, object]:
        """Return it as the table shows it, by column."""
        scores = {"validation": self.validation, "test": self.test}
        return {
            **vars(self),
            **self.settings,
            **{key.replace("objective.", ""): _told(value) for key, value in self.outcome.items()},
            **{name: None if score is None else number(score) for name, score in scores.items()},
            "metric": self.shown or self.metric,
            "kept rank": self.kept_rank,
            "seconds": duration(self.seconds) if self.seconds else None,
            "peak MB": f"{self.peak_mb:.0f}" if self.peak_mb else None,
            "health": ", ".join(flag.name for flag in self.flags),
        }


def _told(value: float | bool | None) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else ("yes" if value else "no")
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4g}"


def renamed(values: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    """Return values under other names, in their order."""
    return {names.get(key, key): value for key, value in values.items()}


def list_all(storage: Path | None, as_json: bool, wide: bool = False) -> None:
    """Print one row for each study, suite, single run and verification.

    Args:
        storage: Where studies and suites are; by default the home.
        as_json: Print JSON.
        wide: Print every column, however wide the terminal is.

    Raises:
        UserError: Some of them cannot be read; those that can are printed before.
    """
    broken: list[str] = []
    rows = [_overview_or_damage(item, broken) for item in all_items(storage)]
    if as_json:
        print_json([row.as_json() for row in rows])
    else:
        _print_list(rows, wide)
    if broken:
        raise UserError("\n".join(broken))


def _print_list(rows: Sequence[Overview], wide: bool) -> None:
    if not rows:
        narrator()(f"no runs yet; {command_line('tune', '--space', 'quickstart.yaml')} starts one")
        return
    columns = ["name", "kind", "state", "metric", "validation", "runs", "best", "begun"]
    print_rows([row.cells() for row in rows], [*columns, _RESUME], wide=wide)


def show(name: str, storage: Path | None, as_json: bool, wide: bool = False) -> None:
    """Print one row for each run of a study or suite, one run, or a verification's table.

    See ``list_all`` for the other arguments.
    """
    item = find_item(name, storage)
    if item.kind == "verification":
        _show_verification(item, as_json)
        return
    keys = _varied(item)
    outcomes = item.outcomes()
    rows = [
        replace(_row(run, record, item, keys), outcome=outcomes.get(run, {}))
        for run, record in item.records()
    ]
    rows += [_lost_row(lost, item) for lost in item.lost()]
    rows += [_waiting(run, settings, item) for run, settings in item.waiting().items()]
    state = item.state()
    again = resumption(item) if state == "stopped" else None
    for trouble in item.troubles():
        complain(trouble)
    if as_json:
        about = {"name": item.name, "kind": item.kind, "state": state, _JSON_RESUME: again}
        shown = [row.as_json() for row in rows]
        told = {"winner": fresh} if (fresh := fresh_lines(item)) else {}
        print_json({**about, "folder": str(item.folder), **told, "runs": shown})
        return
    columns = ["run", "state", "metric", "validation", "test"]
    known = next(iter(outcomes.values()), {})
    # The first objective is the validation score.
    columns += [name.replace("objective.", "") for name in [*known][len(known) > 1 :]]
    columns += ["step", "kept rank", "seconds", "peak MB", *keys, "health", "error"]
    print_rows([row.cells() for row in rows], columns, wide=wide)
    records = [record for _, record in item.records()]
    if line := constant_line(records, item.metric):
        print(line)
    if item.kind == "run":
        _show_closer(item, wide)
    for line in fresh_lines(item):
        print(line)
    narrator()(str(item.folder))
    if again:
        narrator()(f"stopped; resume with: {again}")


def fresh_lines(item: Named) -> list[str]:
    """Return what several seeds, or rungs, say of a study's winner; nothing without them."""
    if not isinstance(item.plan, Space):
        return []
    lines = [line] if (line := seeds_told(item.trials, item.plan)) else []
    return lines + _winner_lines(item, item.plan)


def _winner_lines(item: Named, space: Space) -> list[str]:
    climbed = climb_of(space, item.folder, item.trials)
    found = winner_of(space, item.folder, item.trials)
    lines = [] if climbed is None else rung_lines(climbed)
    if found is None:
        return lines
    classes = next((record.classes for _, record in item.records() if record.classes), [])
    return lines + winner_lines(found, named_metric(found.metric, classes))


def sync_all(name: str | None, storage: Path | None, uri: str | None, as_json: bool) -> None:
    """Deliver one of what was run, or all, to MLflow.

    Raises:
        UserError: MLflow cannot be reached, one of them is being delivered right now, or files of
            what was to be delivered are damaged: the rest was delivered.
    """
    from ...tracking import display_uri, parent_path, resolve_uri, sync

    target, say = resolve_uri(uri), narrator(as_json)
    items = [find_item(name, storage)] if name else all_items(storage)
    counts = {}
    damaged: list[str] = []
    for item in items:
        if name or parent_path(item.folder).exists():
            try:
                counts[item.name] = delivered = sync(item.folder, target)
            except Damaged as damage:
                damaged.append(str(damage))
                continue
            damaged += delivered.damaged
            refused = f", {delivered.refused} refused" if delivered.refused else ""
            points = f"{delivered.points} points delivered{refused}"
            say(f"{item.name}: {points}, {delivered.runs} runs there")
    if as_json:
        print_json({key: value.model_dump() for key, value in counts.items()})
    elif not counts and not damaged:
        say(f"nothing to deliver to {display_uri(target)}")
    if damaged:
        raise UserError("\n".join(damaged))


def _overview_or_damage(item: Named, broken: list[str]) -> Overview:
    """Return the row of an item; what keeps it from being read is added to ``broken``."""
    try:
        row = _overview(item)
        for line in item.troubles(predictions=False):
            complain(line)
    except UserError as error:
        row = Overview(item.name, item.kind, "damaged", str(item.folder))
        broken += cli_message(error).splitlines()
    return row


def _overview(item: Named) -> Overview:
    records, floor = item.records(), item.floor_name
    extent = str(item.extent) if item.kind == "verification" else ""
    states = Counter(item.state_of(record.status) for name, record in records if name != floor)
    states.update(item.state_of(lost.state) for lost in item.lost())
    states.update(item.state_of("running") for _ in item.waiting())
    state = item.state()
    best, score = item.best() or ("", None)
    begun = min((record.started_ms for _, record in records), default=0)
    metric = item.metric or (records[0][1].metric if records else "")
    classes = next((record.classes for _, record in records if record.classes), [])
    return Overview(
        name=item.name,
        kind=item.kind,
        state=state,
        folder=str(item.folder),
        runs=extent or ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
        best=best,
        metric=metric,
        shown=named_metric(metric, classes),
        score=score,
        begun=datetime.fromtimestamp(begun / 1000, UTC).isoformat("T", "minutes") if begun else "",
        resume=resumption(item) if state == "stopped" else None,
    )


def _row(name: str, record: RunRecord, item: Named, keys: list[str]) -> RunRow:
    metric = item.metric or record.metric
    return RunRow(
        run=name,
        state=item.state_of(record.status),
        settings=_settings(name, record, item, keys),
        validation=record.score("validation", metric),
        test=record.score("test", metric),
        metric=metric,
        shown=named_metric(metric, record.classes),
        step=f"{record.history[-1].step if record.history else 0}/{record.total_steps}",
        kept_rank=record.kept_rank,
        seconds=record.seconds,
        scores=record.scores,
        counts=record.counts,
        peak_mb=record.peak_memory_mb,
        flags=record.flags,
        error=record.error or "",
    )


def _lost_row(lost: Lost, item: Named) -> RunRow:
    return RunRow(lost.name, item.state_of(lost.state), {}, lost.score, error=lost.why)


def _settings(name: str, record: RunRecord, item: Named, keys: list[str]) -> dict[str, object]:
    """Return the settings that vary; of a study's runs outside the search, those they set."""
    beside = item.plan.references if isinstance(item.plan, Space) else {}
    name = name.partition(", seed ")[0]
    if name in (item.floor_name, HEAD_ONLY) or name in beside:
        keys = [key for key in keys if key in beside.get(name, {})]
    return changed(record, keys)


def _show_closer(item: Named, wide: bool) -> None:
    """Print a single run's kept ranks by block and kind of module, and its flags in full."""
    from ...report import print_table, rank_table

    for _, record in item.records():
        if table := rank_table([record]):
            print("\nKept ranks:\n")
            print_table(table, wide=wide)
            print()
        for flag in record.flags:
            narrator()(f"health: {flag}")


def _show_verification(item: Named, as_json: bool) -> None:
    from ...report import print_table
    from ...verification import claims_table, read_rows

    rows, state = read_rows(item.folder), item.state()
    for trouble in item.troubles():
        complain(trouble)
    again = resumption(item) if state == "stopped" else None
    if as_json:
        about = {"name": item.name, "kind": item.kind, "state": state, _JSON_RESUME: again}
        print_json({**about, "folder": str(item.folder), "rows": rows})
        return
    print_table(claims_table(rows).select(("check", "claim", "measured", "verdict")))
    narrator()(f"{item.folder}: {item.extent}")
    if again:
        narrator()(f"stopped; resume with: {again}")


def _waiting(name: str, settings: Mapping[str, object], item: Named) -> RunRow:
    return RunRow(name, item.state_of("running"), dict(settings))


def _varied(item: Named) -> list[str]:
    """Return what differs between the runs: searched settings, or what arms change."""
    if item.plan is None:
        return []
    if isinstance(item.plan, Space):
        return list(item.plan.search)
    return sorted({key for arm in item.plan.arms.values() for key in arm})


def resumption(item: Named) -> str:
    """Return the command that resumes what was run."""
    if item.kind == "verification":
        # Only the options hold its settings; no file does.
        return "the same `verify` command"
    words = [_VERBS[item.kind], "--resume", item.name]
    if item.kind != "run":
        words += storage_option(item.folder.parent.parent)
    return command_line(*words)
