"""Check a run's model and data before anything is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import (
    DECODERS,
    LORAS,
    TARGETS,
    ModelConfig,
    PeftSettings,
    RunConfig,
    is_used,
    with_settings,
)
from ..config.space import batch_problem, measured, unmeasured
from ..errors import Argument, ConfigError, Problem, RequestError, UserError, first_line
from ..store import usable_cores
from ..training import (
    CONFIG_FILE,
    TASK_ASSETS,
    asset,
    check_launch,
    check_schedule,
    files_problems,
    head_remark,
    length_problem,
    model_location,
    narrowest_side,
    padding_remark,
    plan,
    read_architecture,
    rows_lacking,
    unable,
)

if TYPE_CHECKING:
    from ..training import Data


def check_inputs(
    config: RunConfig,
    say: Callable[[str], None] = lambda line: None,
    judged_by: Mapping[str, str | None] | None = None,
    variants: Sequence[tuple[str, RunConfig]] = (),
    judged_on: Sequence[str] = ("validation",),
) -> list[str]:
    """Check model and data of a run; what is packaged is fetched.

    Nothing here imports torch unless target modules are named: a study's driver stays small.

    Args:
        config: The run.
        say: Takes a line about what is fetched.
        judged_by: What a study maximises or a suite compares, by the key that names it; None is
            the task's own metric. Which metrics fit a file's labels is known once it is read.
        variants: Runs on the same sentences whose models and budget schedules are checked too,
            each with the key under which its problems are reported (``arms.deep``).
        judged_on: The splits on which that metric is needed.

    Returns:
        What is learnt from which labels, and what is cut: to be printed when the run begins.

    Raises:
        ConfigError: Missing files, folders or columns, labels of the wrong kind, a metric that
            does not fit them or is undefined on a split that it judges, a model whose files are
            damaged or do not fit its ``config.json``, its tokenizer or the sentences, more layers
            than it has, target modules that it lacks, and a budget schedule that does not fit
            the steps; all are reported together.
        UserError: The hub or the package index cannot be reached, or a launcher started several
            processes for one run.
    """
    check_launch(say)
    say = _once(say)
    problems: list[Problem] = []
    if config.task in TASK_ASSETS:
        asset(TASK_ASSETS[config.task], say)
    data = None
    try:
        data = _check_data(config, say, judged_by or {}, judged_on)
    except ConfigError as error:
        problems += error.problems
    try:
        _check_model(config, data, say)
    except ConfigError as error:
        problems = error.problems + problems
    if config.peft != PeftSettings() and not any(
        run.method == "peft" for run in (config, *(variant for _, variant in variants))
    ):
        problems.append(_idle_peft(config))
    for name, variant in variants:
        of_variant = _new_problems(variant, config, data, say)
        problems += [replace(problem, key=f"{name}.{problem.key}") for problem in of_variant]
    if problems or data is None:
        raise ConfigError(list(dict.fromkeys(problems)))
    from ..training import learnt

    return learnt(data, config)


def _once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return what says each line once: variants that share a model share its remarks."""
    said: set[str] = set()

    def say_new(line: str) -> None:
        if line not in said:
            said.add(line)
            say(line)

    return say_new


def check_devices(config: RunConfig, devices: int) -> None:
    """Check that a run can be shared by so many devices of this machine.

    Raises:
        ConfigError: They cannot have equal parts of a batch.
        RequestError: There are not so many.
    """
    if devices == 1:
        return
    if devices < 1:
        raise RequestError(
            "a run has at least one device, but got ", Argument("devices", f"{devices}")
        )
    if problem := batch_problem(config.training.batch_size, devices):
        raise ConfigError([Problem("training.batch_size", problem)])
    import torch

    gpus = torch.cuda.device_count() if config.training.device != "cpu" else 0
    cpus = usable_cores()
    if devices > (gpus or cpus):
        here = f"{gpus} GPU(s)" if gpus else f"no GPU and {cpus} CPU core(s)"
        asked = f" but the run was to have {devices} devices; lower "
        raise RequestError(f"this machine has {here},{asked}", Argument("devices"))


def _new_problems(
    variant: RunConfig, config: RunConfig, data: Data | None, say: Callable[[str], None]
) -> Iterator[Problem]:
    """Yield the problems of the variant alone: those of the run are reported there."""
    if variant.peft != config.peft and variant.method != "peft":
        yield _idle_peft(variant)
    checks: list[Callable[[], None]] = []
    if _model_settings(variant) != _model_settings(config):
        checks.append(lambda: _check_model(variant, data, say))
    if data is not None:
        examples = len(data.splits["train"])
        checks.append(lambda: check_schedule(variant, examples))
    for check in checks:
        try:
            check()
        except ConfigError as error:
            yield from error.problems


def _idle_peft(config: RunConfig) -> Problem:
    message = f"is for method peft alone, but this is method {config.method}"
    return Problem("peft", f"{message}; set `method: peft`, or leave it out")


def _model_settings(config: RunConfig) -> tuple[Any, ...]:
    modules, ranks = _named_modules(config), _lora_ranks(config)
    length, again = config.data.max_length, config.training.gradient_checkpointing
    language = config.language if config.is_language else None
    model = config.model, config.method, config.peft, config.after
    return *model, modules, ranks, length, again, language


def _lora_ranks(config: RunConfig) -> dict[str, int]:
    """Return the ranks that PEFT's LoRA or AdaLoRA is given, by the setting; of others none."""
    if config.method not in (*LORAS, "adalora"):
        return {}
    pattern = config.adapter.rank_pattern or {}
    named = {f"adapter.rank_pattern.{name}": rank for name, rank in pattern.items()}
    return {"adapter.r": config.adapter.r, **named}


def _named_modules(config: RunConfig) -> dict[str, Any]:
    """Return those of the adapter's settings about the model's modules that are set."""
    names = ("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern")
    settings = {name: getattr(config.adapter, name) for name in names}
    return {name: value for name, value in settings.items() if value is not None}


def _check_data(
    config: RunConfig,
    say: Callable[[str], None],
    judged_by: Mapping[str, str | None],
    judged_on: Sequence[str],
) -> Data:
    from ..training import load_data

    data = load_data(config)
    if data.left_out:
        say(rows_lacking(data.left_out, "text" if config.is_language else "text or label"))
    check_schedule(config, len(data.splits["train"]))
    completed = with_settings(config, {"data.kind": data.kind})
    by_key = {
        key: None if metric in measured(completed) else unmeasured(metric, completed)
        for key, metric in judged_by.items()
    }
    labels = "numbers" if data.kind == "regression" else "classes"
    read = f"; its labels are read as {labels}; data.kind can change that"
    wrong = [
        Problem(key, problem if config.is_language else problem + read)
        for key, problem in by_key.items()
        if problem is not None
    ]
    wrong = wrong or [*_undefined(data, config, judged_by, judged_on)]
    if wrong:
        raise ConfigError(wrong)
    return data


def _undefined(
    data: Data, config: RunConfig, judged_by: Mapping[str, str | None], judged_on: Sequence[str]
) -> Iterator[Problem]:
    """Yield a problem for each deciding metric that is undefined on a split; equal splits once."""
    from ..training import undefined_problem

    splits = {id(data.splits[split]): split for split in reversed(judged_on)}
    judged: list[tuple[str | None, str | None]] = [*judged_by.items()] or [(None, None)]
    for key, metric in judged:
        for split in reversed(splits.values()):
            if problem := undefined_problem(data, config, split, key, metric):
                yield problem


def _check_model(config: RunConfig, data: Data | None, say: Callable[[str], None]) -> None:
    path = check_model(config.model, say)
    architecture = read_architecture(path)
    problems = [*_wrong_kind_of_model(config, architecture.model_type)]
    problems += _wrong_targets(config, architecture.model_type)
    problems += unable(config, path.parent)
    requested, most = config.model.layers, architecture.layers
    if requested is not None and most is not None and requested > most:
        message = (
            f"must be at most {most}, the layers of {config.model.name_or_path}, got {requested}"
        )
        problems.append(Problem("model.layers", message))
    if not problems and config.method == "peft":
        from ..training import peft_problems

        steps = plan(config.training, len(data.splits["train"])).total if data else None
        problems += peft_problems(config, steps)
    if not problems:
        problems += _unmatched_targets(config)
        problems += files_problems(config, architecture, path.parent)
    if not problems:
        problems += _excess_ranks(config, narrowest_side(architecture, path.parent))
    if config.is_language and not problems:
        if data is not None:
            _check_prompts(config, architecture.positions, say)
        return
    if not problems and data is not None:
        too_long = length_problem(config, architecture, path.parent, data)
        problems += [too_long] if too_long else []
    if problems:
        raise ConfigError(problems)
    if data is not None and (remark := head_remark(config, architecture, path.parent, data)):
        say(remark)
    if remark := padding_remark(config.model):
        say(remark)


def _check_prompts(config: RunConfig, positions: int | None, say: Callable[[str], None]) -> None:
    """Tokenise prompts and say what is learnt of them; the model itself is not loaded."""
    from ..training import load_inputs, load_tokenizer, places_problem, readable_texts

    _, encoded, kind = load_inputs(config)
    assert kind.masking is not None
    if problem := places_problem(config, positions, [*encoded.values()]):
        raise ConfigError([problem])
    if config.language.forgetting is not None:
        readable_texts(config.language.forgetting, load_tokenizer(config.model))
    for line in kind.masking.lines(config.data.max_length):
        say(line)


def _wrong_kind_of_model(config: RunConfig, model_type: str | None) -> Iterator[Problem]:
    """Yield a problem for text that an encoder should generate."""
    if config.is_language and model_type in TARGETS and model_type not in DECODERS:
        yield Problem(
            "model.name_or_path",
            f"{config.model.name_or_path} is an encoder ({model_type}) and generates no text; "
            "name a causal language model, for example the packaged smollm2",
        )


def _wrong_targets(config: RunConfig, model_type: str | None) -> Iterator[Problem]:
    if config.is_language:
        return  # all linear layers by default, whatever the type
    defaults = _names_modules(config) and config.adapter.target_modules is None
    if defaults and model_type not in TARGETS:
        yield Problem(
            "adapter.target_modules",
            f"name the linear layers to adapt (suffixes, or all-linear): the model type "
            f"{model_type!r} has no defaults; {', '.join(sorted(TARGETS))} have",
        )


def _names_modules(config: RunConfig) -> bool:
    """Whether the method adapts modules by our names; PEFT checks those of ``method: peft``."""
    return is_used("adapter.target_modules", config.method)


def _unmatched_targets(config: RunConfig) -> Iterator[Problem]:
    """Yield a problem for target names that no module has; the defaults always match."""
    named = _named_modules(config)
    if not named or not _names_modules(config):
        return
    if config.is_language:
        return  # seen when the adapter is attached
    if config.model.trust_remote_code:  # its code runs where it trains, not for a check
        return
    # Only this check needs torch: the model is laid out without weights, as PEFT will see it.
    from ..training import adapter_sizes

    try:
        adapter_sizes(config.model.name_or_path, k=1, r=1, **named)
    except ConfigError as error:
        yield from error.problems
    except UserError as error:
        yield Problem(f"adapter.{next(iter(named))}", str(error))


def _excess_ranks(config: RunConfig, sure: int | None) -> Iterator[Problem]:
    """Yield a problem for each rank of a LoRA that is above the highest of a matrix.

    Args:
        config: The run.
        sure: A rank that every matrix can have; ``None`` where it is not known, as of a model that
            is still to be downloaded: the run finds out when the adapter is attached.
    """
    high = {key: rank for key, rank in _lora_ranks(config).items() if sure and rank > sure}
    if not high or config.model.trust_remote_code:
        return
    from ..training import adapter_sizes, excess_rank

    kinds = adapter_sizes(config.model.name_or_path, k=1, r=1, **_named_modules(config)).kinds
    for key, rank in high.items():
        # As PEFT matches them: a suffix of the name, or an expression for one.
        suffix = re.compile(rf"(.*\.)?({key.removeprefix('adapter.rank_pattern.')})")
        of_key = [kind for kind in kinds if key == "adapter.r" or suffix.fullmatch(kind.name)]
        narrow = min(of_key, key=lambda kind: min(kind.shape), default=None)
        if narrow is not None and rank > min(narrow.shape):
            yield excess_rank(key, rank, narrow.name, narrow.shape)


def check_model(model: ModelConfig, say: Callable[[str], None] = lambda line: None) -> Path:
    """Check that a model can be found, and return its ``config.json``.

    Raises:
        ConfigError: There is no such folder, it holds no ``config.json``, or the hub cannot be
            reached or has no such model.
        UserError: The package index cannot be reached.
    """
    location = Path(model_location(model, say))
    if not location.is_dir():
        return _ask_hub(model)
    if not (location / CONFIG_FILE).is_file():
        message = f"{location} holds no {CONFIG_FILE}: not a transformers model folder"
        raise ConfigError([Problem("model.name_or_path", message)])
    return location / CONFIG_FILE


def _ask_hub(model: ModelConfig) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(model.name_or_path, CONFIG_FILE, revision=model.revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        message = (
            f"cannot get {model.name_or_path} from the hub: {first_line(error)}; offline, set it "
            "to a local folder or to the packaged minilm"
        )
        raise ConfigError([Problem("model.name_or_path", message)]) from None
