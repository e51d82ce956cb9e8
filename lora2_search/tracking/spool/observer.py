"""Writes what happens in a study or suite to its spool, at once and without MLflow."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...config import is_used, named_metric
from ...store import (
    ADAPTER_FOLDER,
    MEASURES,
    RANK_PATTERN_FILE,
    RECORD_FILE,
    outcome_value,
    readable_record,
)
from ..views import SCORE
from .data_set import data_set
from .params import clean_key, clean_tags, flat
from .spool import (
    Artifact,
    DataSet,
    End,
    Flusher,
    Identity,
    Model,
    ParentKind,
    Spool,
    Start,
    Tags,
    parent_path,
    read,
    run_path,
)

if TYPE_CHECKING:
    from ...config import RunConfig, RunInfo
    from ...store import Flag, RunRecord
    from ...training import Report, State

ParentState = Literal["COMPLETE", "FAIL", "STOPPED"]

# What a resume may change: MLflow keeps a param for ever and refuses another value, a tag it
# overwrites. Such a setting stands for all that are grouped under it.
CHANGEABLE = ("trials", "hours", "resources", "seeds")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ParentInfo:
    """What is recorded of a study or suite as a whole.

    Attributes:
        kind: ``study``, ``suite`` or ``verification``; decides experiment and prepared view.
        name: Its name.
        config: What its runs have in common; a ``Space`` or ``Suite`` is one too.
        columns: Searched or changed settings, dotted: the columns of the prepared view.
        groups: Tags by which it groups the runs of a suite.
        outcomes: Names of objectives and constraints beside the score: more columns.
        params: More settings, such as sampler and number of trials.
        tags: More tags.
        description: One or two sentences for the head of its page.
    """

    kind: ParentKind
    name: str
    config: RunConfig
    columns: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("arm",)
    outcomes: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str = ""


class SpoolObserver:
    """The ``Observer`` of tracking: appends to ``<folder>/tracking/`` and returns.

    A study opened again keeps its identity and goes on in the same files. When the disk is full
    it says so once and lets the study go on.
    """

    def __init__(self, folder: Path, parent: ParentInfo) -> None:
        self._folder = folder.absolute()
        self._warned = False
        self._flusher = Flusher()
        self._open: dict[str, Spool] = {}
        self._diverged: set[str] = set()
        self._common: dict[str, str] = {}
        self._columns = parent.columns
        self._later: dict[str, Mapping[str, str]] = {}
        self._data: list[DataSet] = []
        path = parent_path(self._folder)
        earlier = read(path).records
        known = [record for record in earlier if isinstance(record, Identity)]
        self._identity = Identity(
            uuid=known[-1].uuid if known else uuid.uuid4().hex,
            what=parent.kind,
            name=parent.name,
            columns=parent.columns,
            groups=parent.groups,
            metric=known[-1].metric if known else "",
            outcomes=_outcome_columns(parent),
        )
        self._parent = Spool(path, self._flusher)
        tags = _config_tags(parent.config) | {"lora2.kind": parent.kind} | dict(parent.tags)
        if parent.description:
            tags["mlflow.note.content"] = parent.description
        # Methods that are searched may look at settings that this one does not.
        one = None if "method" in parent.columns else parent.config.method
        settings = _settings(parent.config, one) | flat(parent.params)
        # What varies from run to run is not a setting of the whole.
        settings = {key: value for key, value in settings.items() if key not in parent.columns}
        changeable = {key: value for key, value in settings.items() if _is_changeable(key)}
        params = {key: value for key, value in settings.items() if key not in changeable}
        tag_names = {key for record in earlier if isinstance(record, Start) for key in record.tags}
        # A bound that a resume took away: its tag would stay.
        removed = {key: "" for key in tag_names if _is_changeable(key)}
        start = _start(self._parent, parent.name, params, removed | changeable | tags)
        self._parent.append(self._identity, start)

    def started(self, run: RunInfo) -> None:
        """Note that a run begins or goes on."""
        with self._full_disk_said_once():
            self._begin(run, self._file(run))

    def reported(self, run: RunInfo, report: Report) -> None:
        """Note the points of an interval; those noted before are left out."""
        points = [
            (point.step, point.time_ms, {clean_key(k): v for k, v in point.metrics.items()})
            for point in report.points
        ]
        if not all(math.isfinite(v) for _, _, values in points for v in values.values()):
            self._diverged.add(run.key)
        with self._full_disk_said_once():
            self._spool(run).points(points)

    def ended(self, run: RunInfo, state: State, record: RunRecord | None, reason: str) -> None:
        """Note how a run ended; its ``score`` and test scores only when it is complete.

        ``score`` is what the run counts with in its study or suite, as the record says. The run
        lasted as long as its record says, so that MLflow's duration is the one shown everywhere.
        """
        time_ms = record.ended_ms if record and record.ended_ms else _now_ms()
        tags: dict[str, str | None] = {}
        if run.key in self._diverged:
            tags["diverged"] = "true"
        if record is not None:
            self._common = _machine_tags(record)
            tags |= self._common | {"data_hash": record.data_hash or None}
            tags |= {"fingerprint": record.fingerprint, "reused_from": record.reused_from}
            tags |= {"taken_from": record.taken_from} | _judged_by(run, record)
            tags |= {"example": record.example or None}
            tags |= {f"health.{flag.name}": _flag_text(flag) for flag in record.flags}
        with self._full_disk_said_once():
            spool = self._spool(run)
            if record is not None:
                self._note_data(run, record, spool)
            if record is not None and state == "COMPLETE":
                step = max((point.step for point in record.history), default=record.total_steps)
                spool.points([(step, time_ms, _final_metrics(run, record))])
            pattern = run.folder / RANK_PATTERN_FILE
            if pattern.is_file():
                spool.append(Artifact(path=self._relative(pattern), to=""))
            end_ms = _end_ms(spool, record, time_ms)
            spool.append(End(state=state, time_ms=end_ms, reason=reason, tags=clean_tags(tags)))
            self._open.pop(run.key).close()

    def measured(self, values: Mapping[str, float]) -> None:
        """Note numbers of the parent itself; noted again after a resume, the later ones count."""
        metrics = {clean_key(key): value for key, value in values.items()}
        with self._full_disk_said_once():
            self._parent.points([(self._parent.records, _now_ms(), metrics)])

    def tag(self, run: RunInfo, tags: Mapping[str, str]) -> None:
        """Note what is known of a run only after its end; noted again, the later ones count."""
        self._later[run.key] = {**self._later.get(run.key, {}), **tags}
        with self._full_disk_said_once():
            spool = self._file(run)
            spool.append(Tags(tags=clean_tags(tags)))
            if not isinstance(spool.last, Start):
                self._open.pop(run.key).close()

    def artifact(self, run: RunInfo | None, path: Path, to: str = "") -> None:
        """Keep a file or folder with a run, or with the parent where ``run`` is ``None``.

        It is copied later, from where it lies; ``to`` is the folder to put it in.
        """
        with self._full_disk_said_once():
            spool = self._file(run) if run else self._parent
            spool.append(Artifact(path=self._relative(path), to=to))
            if run and not isinstance(spool.last, Start):
                self._open.pop(run.key).close()

    def close(
        self,
        state: ParentState,
        *,
        reason: str = "",
        winner: RunInfo | None = None,
        scores: Mapping[str, float] | None = None,
    ) -> None:
        """End the parent; call it once, last.

        The parent's row is then the winner's: its score, test scores, other objectives, settings
        and place on the front. Its adapter, record and rank pattern become artifacts of the parent,
        and a model that MLflow loads. Runs still under way are noted as ``STOPPED``; a resume sets
        them running again.

        Args:
            state: How it ended.
            reason: Why, where it was stopped or failed.
            winner: The run that stands for the winner.
            scores: What the winner is reported with, ``score`` among it, where that is not what
                this run of it scored: means over seeds.
        """
        time_ms = _now_ms()
        with self._full_disk_said_once():
            for spool in self._open.values():
                spool.append(End(state="STOPPED", time_ms=time_ms, reason=reason or "interrupted"))
                spool.close()
            tags = dict(self._common)
            if winner is not None:
                tags |= {"winner": winner.name, "winner.key": winner.key}
                tags |= self._keep_winner(winner, time_ms, scores)
            end = End(state=state, time_ms=time_ms, reason=reason, tags=clean_tags(tags))
            self._parent.append(end)
        self._open.clear()
        self._parent.close()
        self._flusher.close()

    def _keep_winner(
        self, winner: RunInfo, time_ms: int, scores: Mapping[str, float] | None
    ) -> dict[str, str]:
        """Keep the winner's files, model and scores with the parent; return its tags."""
        record = readable_record(winner.folder)
        adapter = winner.folder / ADAPTER_FOLDER
        if adapter.is_dir():
            self.artifact(None, adapter, f"winner/{ADAPTER_FOLDER}")
        if record is None:
            return {}
        self.artifact(None, winner.folder / RECORD_FILE, "winner")
        pattern = winner.folder / RANK_PATTERN_FILE
        if pattern.is_file():
            self.artifact(None, pattern, "winner")
        params = _settings(winner.config, winner.config.method)
        shown = {name: params[name] for name in self._columns if name in params}
        # MLflow's loader answers with classes and numbers: a language model's adapter is a file.
        if adapter.is_dir() and not winner.config.is_language:
            # A single run is called as the whole is.
            name = " ".join(dict.fromkeys([self._identity.name, winner.name]))
            path = self._relative(winner.folder)
            self._parent.append(Model(key=winner.key, name=name, path=path, params=shown))
        own = {SCORE: record.score(winner.split, winner.metric), **_test_scores(record)}
        values: dict[str, float | None] = dict(own) if scores is None else {}
        values |= {**_outcomes(winner, record), **(scores or {})}
        told = {clean_key(key): value for key, value in values.items() if value is not None}
        # A resumed study may have another winner: the time keeps the two apart, so no step does.
        self._parent.points([(self._parent.records, time_ms, told)])
        # Tags, which a later winner may overwrite; MLflow keeps a param for ever.
        place = dict(self._later.get(winner.key, {}))
        return dict.fromkeys(self._columns, "") | shown | place | _judged_by(winner, record)

    def _note_data(self, run: RunInfo, record: RunRecord, spool: Spool) -> None:
        """Name the data of a run, also with the parent, and by which metric it is judged."""
        data = data_set(run.config, record)
        if data is not None:
            spool.append(data)
            if data not in self._data:
                self._data.append(data)
                self._parent.append(data)
        metric = run.metric or record.metric
        if metric and not self._identity.metric:
            self._identity = self._identity.model_copy(update={"metric": metric})
            self._parent.append(self._identity)

    def _begin(self, run: RunInfo, spool: Spool) -> None:
        method = run.config.method
        params = _settings(run.config, method)
        params |= {key: v for key, v in flat(run.settings).items() if is_used(key, method)}
        tags = _config_tags(run.config) | dict(run.tags) | {"seed": str(run.config.seed)}
        tags |= {self._identity.what: self._identity.name}
        # The columns of the prepared view, in which the parent stands for its winner.
        tags |= {name: params[name] for name in self._columns if name in params}
        spool.append(_start(spool, run.name, params, tags))

    def _spool(self, run: RunInfo) -> Spool:
        spool = self._file(run)
        if not isinstance(spool.last, Start):
            # A run that another process carried to its end was never announced to this one.
            self._begin(run, spool)
        return spool

    def _file(self, run: RunInfo) -> Spool:
        if run.key not in self._open:
            self._open[run.key] = Spool(run_path(self._folder, run.key), self._flusher)
        return self._open[run.key]

    def _relative(self, path: Path) -> str:
        path = path.absolute()
        inside = path.is_relative_to(self._folder)
        return str(path.relative_to(self._folder) if inside else path)

    @contextmanager
    def _full_disk_said_once(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not self._warned:
                _log.warning("tracking has gaps: cannot write under %s: %s", self._folder, error)
            self._warned = True


def _start(spool: Spool, name: str, params: dict[str, str], tags: dict[str, str]) -> Start:
    if isinstance(spool.last, End) and spool.last.reason:
        # MLflow keeps tags: the reason of the earlier end would stay with a run that goes on.
        tags = {"reason": "", "mlflow.note.content": ""} | tags
    return Start(name=name, time_ms=_now_ms(), params=params, tags=clean_tags(tags))


def _is_changeable(key: str) -> bool:
    return key.partition(".")[0] in CHANGEABLE


def _config_tags(config: RunConfig) -> dict[str, str]:
    return {"task": config.task, "model": config.model.name_or_path, "method": config.method}


def _settings(config: RunConfig, method: str | None) -> dict[str, str]:
    """Return a run's settings as params, without those that its method does not look at."""
    given = config.model_dump(mode="json")
    for section in ("adapter", "peft"):
        if method is not None and given.get(section):
            used = {k: v for k, v in given[section].items() if is_used(f"{section}.{k}", method)}
            given[section] = used
    return flat(given)


def _test_scores(record: RunRecord) -> dict[str, float]:
    # Those of the validation split are the ends of curves that are there already.
    return {key: v for key, v in record.scores.items() if not key.startswith("validation/")}


def _machine_tags(record: RunRecord) -> dict[str, str]:
    tags = {
        "commit": (record.commit or "") + (" (changed)" if record.dirty else ""),
        "device": record.device,
        "versions": ", ".join(f"{name} {version}" for name, version in record.versions.items()),
    }
    return {key: value for key, value in tags.items() if value}


def _judged_by(run: RunInfo, record: RunRecord) -> dict[str, str]:
    """Return the tag that says what ``score`` is, of F1 with its class."""
    metric = run.metric or record.metric
    return {"metric": named_metric(metric, record.classes)} if metric else {}


def _flag_text(flag: Flag) -> str:
    return f"{flag.detail}; turn {flag.setting}"


def _end_ms(spool: Spool, record: RunRecord | None, ended_ms: int) -> int:
    """Return when a run ended on MLflow's clock, which runs from its first start without pauses."""
    if record is None or record.seconds is None or not record.started_ms or not spool.begun_ms:
        return ended_ms
    return spool.begun_ms + round(1000 * record.seconds)


def _final_metrics(run: RunInfo, record: RunRecord) -> dict[str, float]:
    values: dict[str, float | None] = {SCORE: record.score(run.split, run.metric)}
    values |= _test_scores(record)
    values |= {f"counts/{key}": float(value) for key, value in record.counts.items()}
    values |= {f"seconds/{key}": value for key, value in record.timings.items()}
    values |= _outcomes(run, record)
    values["memory/peak_mb"] = record.peak_memory_mb
    return {clean_key(key): value for key, value in values.items() if value is not None}


def _outcomes(run: RunInfo, record: RunRecord) -> dict[str, float | None]:
    """Return what else counts of a run, objectives and constraints, as metrics."""
    return {outcome_key(name): outcome_value(name, record, run.folder) for name in run.outcomes}


def _outcome_columns(parent: ParentInfo) -> tuple[str, ...]:
    metrics = [f"metrics.`{outcome_key(name)}`" for name in parent.outcomes]
    return (*metrics, "tags.`pareto`", "tags.`feasible`") if metrics else ()


def outcome_key(name: str) -> str:
    """Return the metric under which an objective or a constraint beside the score stands."""
    return f"outcome/{name}" if name in MEASURES else f"validation/{name}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
