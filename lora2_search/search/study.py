"""A study: the trials of one space, in one folder, that can be taken up again at any time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

from ..analysis import (
    Run,
    all_infeasible,
    choice_cells,
    given_line,
    outcome_cells,
    own_trials,
    read_seed_runs,
    reported_runs,
    rung_cells,
    scores_by_evaluation,
    scores_by_seed,
    seed_cells,
)
from ..config import dotted
from ..config.space import (
    HEAD_ONLY,
    Space,
    Value,
    grace_period,
    reference_records,
    reference_runs,
    space_source,
    typed_space,
)
from ..config.space import notes as early_stopping_notes
from ..errors import Argument, RequestError, UserError
from ..execution import Interruption
from ..store import (
    REFERENCES_FOLDER,
    RUNGS_FOLDER,
    SEEDS_FOLDER,
    SPACE_FILE,
    TRIALS_FOLDER,
    WINNER_FOLDER,
    RunRecord,
    Shelf,
)
from ..training import Observer
from .ask_tell import AskTell, seconds_spent
from .attributes import describe_study
from .halving import climb_of, run_rungs
from .prior import WarmStart
from .storage import open_study, stored_trials, stored_warm_start
from .trial import StudyTrial, best_trial, front_of, outcomes_in, read_trials, seeds_told
from .winner import confirm_winner, winner_of

if TYPE_CHECKING:
    import pandas
    from optuna.storages import BaseStorage
    from optuna.study import Study as OptunaStudy
    from ray.tune.schedulers import TrialScheduler

    from ..analysis import Climb, Confirmation, Side, Versus
    from ..execution import TrialTrainable
    from ..report import Page

STUDIES = Shelf("study", "studies", SPACE_FILE)

# What tells the searches of two studies apart.
_SEARCH = (
    *("search", "try_first", "objective", "sampler", "scheduler"),
    *("trials", "hours", "winner", "seeds", "race"),
)

_FREE_ON_RESUME = ("trials", "hours", "resources")


@dataclass(frozen=True)
class Study:
    """What a study has come to.

    Attributes:
        name: Its name.
        folder: Its folder.
        space: What was searched.
        trials: All trials, by number.
        interrupted: Whether a signal ended it before its trials or hours were used up.
        ended_by: That signal.
        warm_start: What it took over from an older study, in a sentence; empty for most.
    """

    name: str
    folder: Path
    space: Space
    trials: tuple[StudyTrial, ...]
    interrupted: bool = False
    ended_by: Signals | None = None
    warm_start: str = ""

    def __repr__(self) -> str:
        score = self.best.score if self.best else None
        if self.winner and self.winner.reported:
            score = self.winner.reported.validation.estimate  # not what selection flattered
        best = f", best={score:.4f}" if score is not None else ""
        return f"Study({self.name!r}, {len(self.trials)} trials{best}, folder={str(self.folder)!r})"

    @property
    def best(self) -> StudyTrial | None:
        """The winner: the complete trial with the best score, the earliest of equals.

        Only trials that meet the space's ``constraints`` count. With several ``objectives`` it is
        picked from `pareto`, by the space's ``pick``. With ``winner`` it is the one that fresh
        seeds chose, once they have. Of a halved study it is the best whole run, with that run's
        score and folder. ``None`` if there is none.
        """
        return best_trial(self.trials, self.space, self.winner, self.climb)

    @cached_property
    def climb(self) -> Climb | None:
        """How its trials climbed the rungs; ``None`` where its scheduler is not ``halving``."""
        return climb_of(self.space, self.folder, self.trials)

    @cached_property
    def winner(self) -> Confirmation | None:
        """What fresh seeds say of the winner; ``None`` where the space does not set ``winner``."""
        return winner_of(self.space, self.folder, self.trials)

    @property
    def winner_runs(self) -> Mapping[int, Run]:
        """The runs whose scores are the winner's, by seed; none without a winner.

        Where fresh seeds confirm it they are those that are reported, else those of its seeds.
        """
        best = self.best
        ran = (best.number, Run(best.folder, best.record)) if best and best.record else None
        return reported_runs(self.winner, ran, read_seed_runs(self.folder), self.space)

    @property
    def pareto(self) -> tuple[StudyTrial, ...]:
        """The feasible trials that none beats in every objective, the best score first."""
        return front_of(self.trials, self.space)

    @property
    def reference(self) -> RunRecord | None:
        """The record of the head-only run, ``None`` when the study has none that can be read."""
        return reference_records(self.folder).get(HEAD_ONLY)

    @property
    def references(self) -> dict[str, RunRecord]:
        """The records of the space's ``references``, by name; those that have one."""
        read = reference_records(self.folder)
        return {name: read[name] for name in self.space.references if name in read}

    @property
    def notes(self) -> list[str]:
        """What was given, what early stopping could not do, what no trial met; often nothing."""
        outcomes = outcomes_in(self.trials)
        given = given_line(
            {trial.number: trial.given_by for trial in self.trials if trial.given_by}
        )
        seeds = seeds_told(self.trials, self.space)
        lines = [line for line in (self.warm_start, given, seeds) if line]
        if outcomes and not any(item.is_feasible for item in outcomes):
            lines.append(all_infeasible(outcomes, self.space))
        if self.space.scheduler.name != "asha":
            return lines
        requested = self.space.scheduler.grace
        return lines + early_stopping_notes(self.space.run_config(), self.space.search, requested)

    def report(self, out: Path | None = None) -> Page:
        """Write its page, tables, figures and CSV, as the verb ``report`` does.

        Args:
            out: Where to write; by default the study's folder.

        Returns:
            The page: a path that a notebook shows, and that ``open()`` shows in a browser.
        """
        from ..report import Page, write_study_kit

        return Page(write_study_kit(self.folder, out))

    def _repr_html_(self) -> str:
        from ..analysis import read_study_table
        from ..report import framed, study_page

        return framed(study_page(read_study_table(self.folder)))

    def frame(self) -> pandas.DataFrame:
        """Return one row per trial: number, state, scores, settings, sizes, seconds.

        ``validation`` and ``test`` are the objective after the last evaluation, on either split;
        ``score`` is the validation score of complete trials alone, by which the study chooses.
        With several objectives each has a column ``objective.<name>``, and ``pareto`` says which
        trials are on the front; with constraints ``feasible`` says which trials meet them. Where
        the winner is confirmed on fresh seeds, ``choice`` is a trial's mean on those that it was
        chosen on, and ``winner`` says which trial it is. With several seeds per trial ``score`` is
        their mean, ``seeds`` how many were run, ``seeds_low`` and ``seeds_high`` the interval; what
        else comes from a run is of its first seed.
        """
        import pandas

        front = {trial.number for trial in self.pareto}
        rows = [
            {
                **_row(trial, self.space, front),
                **rung_cells(self.climb, trial.number),
                **choice_cells(self.winner, trial.number),
                **seed_cells(trial.seed_scores, self.space),
            }
            for trial in self.trials
        ]
        return pandas.DataFrame(rows)

    def side(self) -> Side:
        """Return its winner as one side of a comparison.

        Raises:
            UserError: No trial is complete, or the winner's record is damaged.
        """
        from ..analysis import Side

        best = self.best
        if best is None:
            raise UserError(f"study {self.name} has no completed trial yet")
        if best.record is None:
            raise UserError(best.damage or f"trial {best.number} of {self.name} has no record")
        name = f"trial {best.number} of study {self.name}"
        own = {int(best.record.config["seed"]): Run(best.folder, best.record)}
        runs = self.winner_runs or own
        plan = self.space.model_dump(mode="json", include=set(_SEARCH))
        return Side(name, runs, self.space.objective.metric, dotted(plan))

    def compare(self, other: Study) -> Versus:
        """Return its winner beside another study's: settings, scores, costs, examples.

        Raises:
            UserError: One of them has no completed trial.
        """
        from ..analysis import compare_sides

        return compare_sides(self.side(), other.side())


def run_study(
    space: Space,
    *,
    resume: bool = False,
    storage: Path | None = None,
    address: str | None = None,
    observers: Sequence[Observer] = (),
    reference: bool = True,
    warm: WarmStart | None = None,
    trainable: type[TrialTrainable] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Study:
    """Run a study, or resume one.

    Args:
        space: What is searched, as `validate_space` returned it: nothing here checks it again.
        resume: Go on with the study of that name: trials under way when it stopped keep their
            numbers and go on from their checkpoints.
        storage: Where ``studies/`` is; by default the home folder. On a cluster, a shared folder.
        address: A Ray cluster: ``auto`` or ``host:port``; ``None`` for this machine alone.
        observers: Notified in this process of what happens.
        reference: Also train the head alone and the space's ``references``, outside the search,
            to compare with. With the space's ``winner`` they run beside the winner instead.
        warm: What a new study takes over from an older one; a resumed one has it already.
        trainable: The class that runs one run.
        say: Takes a line for people, while Ray starts.

    Raises:
        ConfigError: A run of it asks for more than any node has.
        UserError: The name is in use, or unknown on resume, or the space is another one than
            before, or its data or model are; another process runs the study; the cluster cannot be
            reached; or the first trials all fail for the same reason.
    """
    from ..execution import RunList, TrialTrainable, execute, run_session

    folder = study_folder(space.name, storage)
    if resume:
        STUDIES.stored(space.name, storage)
    else:
        STUDIES.check_free(space.name, storage)
    interruption = Interruption()
    with interruption.listening(), ExitStack() as stack:
        device = space.training.device
        terms = stack.enter_context(
            run_session(
                folder,
                space.resources,
                device=device,
                resume=resume,
                address=address,
                say=say,
                held=partial(_check_held, space, folder, storage, resume),
            )
        )
        space.write(folder)
        shared = storage is not None
        opened = open_study(folder, space.name, shared=shared, goals=space.goals)
        database = stack.enter_context(opened)
        if warm is not None and not resume:
            warm.keep(database[0])
        source = _source(space, folder, *database, reference, interruption, say)
        run_all = partial(
            execute,
            folder=folder,
            resources=terms,
            observers=observers,
            interruption=interruption,
            trainable=trainable or TrialTrainable,
        )
        interrupted = run_all(source, scheduler=_scheduler(space, database[0]))
        _check_common_failure(source, space)
        steps = [run_rungs] * space.is_halved + [confirm_winner] * (space.winner is not None)
        for step in steps:
            if interrupted:
                break
            interruption.lift_deadline()  # `hours` bound the search
            trials = read_trials(folder, space.name)
            interrupted = step(
                space, folder, trials, lambda runs: run_all(RunList(runs, source.final)), say
            )
        study = load_study(space.name, storage)
        return replace(study, interrupted=interrupted, ended_by=interruption.signal)


def _check_held(space: Space, folder: Path, storage: Path | None, resume: bool) -> None:
    """Make sure that a study may begin, or go on, in a folder that no other driver writes."""
    from ..training import check_inputs_unchanged

    if not resume:
        STUDIES.check_free(space.name, storage)
        return
    stored = stored_space(space.name, storage)
    STUDIES.check_same(space.model_dump(), stored.model_dump(), _FREE_ON_RESUME)
    # Without its database it would begin anew, over the folders of the trials that it had.
    stored_trials(folder, space.name)
    check_inputs_unchanged(
        path
        for inside in (
            TRIALS_FOLDER,
            SEEDS_FOLDER,
            REFERENCES_FOLDER,
            RUNGS_FOLDER,
            WINNER_FOLDER,
        )
        for path in folder.glob(f"{inside}/*")
    )


def _check_common_failure(source: AskTell, space: Space) -> None:
    if source.common_failure:
        raise RequestError(
            "the first trials all failed for the same reason, so the study was stopped: "
            f"{source.common_failure}; if its settings are at fault, start another study with "
            "different ones (a resume keeps them); if this machine is, fix it and resume with ",
            Argument("resume", space.name),
        )


def load_study(name: str, storage: Path | None = None) -> Study:
    """Read what a study has come to so far, whether it is running or not.

    Raises:
        UserError: There is no study of that name; the message lists those there are.
    """
    space = stored_space(name, storage)
    folder = study_folder(name, storage)
    warm = stored_warm_start(folder, name)
    return Study(name, folder, space, read_trials(folder, name), warm_start=warm)


def stored_space(name: str, storage: Path | None = None, overrides: Sequence[str] = ()) -> Space:
    """Return the space of a study that exists, with ``trials=40`` and the like laid over it.

    Raises:
        UserError: There is no study of that name; the message lists those there are.
    """
    return typed_space(space_source(str(STUDIES.stored(name, storage)), overrides))


def study_folder(name: str, storage: Path | None = None) -> Path:
    """Return where the study of that name is, or would be."""
    return STUDIES.folder(name, storage)


def _source(
    space: Space,
    folder: Path,
    study: OptunaStudy,
    storage: BaseStorage,
    reference: bool,
    interruption: Interruption,
    say: Callable[[str], None],
) -> AskTell:
    describe_study(study, space)
    if space.hours is not None:
        interruption.end_in(space.hours * 3600 - seconds_spent(study))
    outside = reference_runs(space, folder) if reference else []
    return AskTell(study, storage, space, folder, outside, lambda: interruption.overdue, say)


def _scheduler(space: Space, study: OptunaStudy) -> TrialScheduler:
    from ..execution import make_scheduler

    base, early = space.run_config(), space.scheduler
    trials = own_trials(study)
    ended = [trial for trial in trials if trial.state.is_finished() or scores_by_seed(trial)]
    return make_scheduler(
        early.name,
        last=base.training.evaluations,
        grace=grace_period(base, space.search, early.grace),
        reduction_factor=early.reduction_factor,
        past=[scores_by_evaluation(trial) for trial in ended],
    )


def _row(trial: StudyTrial, space: Space, front: Collection[int]) -> dict[str, Value]:
    record = trial.record
    row: dict[str, Value] = {"number": trial.number, "state": trial.state, "score": trial.score}
    row |= {name: trial.params.get(name) for name in space.search}
    row |= outcome_cells(trial.outcome, space, trial.number in front)
    for split in ("validation", "test"):
        row[split] = record.score(split, space.objective.metric) if record else None
    for name in ("trained_adapter", "kept_adapter", "compressed_adapter"):
        row[name] = record.counts.get(name) if record else None
    row["seconds"] = record.seconds if record else None
    return row | {"reason": trial.reason or trial.damage or "", "folder": str(trial.folder)}
