"""A Ray cluster, or this machine's own Ray, and what fits on it."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from .. import signals
from ..config.space import Resources
from ..errors import Argument, ConfigError, Problem, RequestError, UserError, first_line
from ..store import BucketCopy, copy_of
from .local_ray import TOKEN_FILE, local_ray
from .pulse import watched

Node = tuple[float, float]


def max_concurrent_runs(resources: Resources, nodes: Sequence[Node]) -> int:
    """Return how many runs at once fit on the nodes, at most ``resources.concurrent``.

    Args:
        resources: Those of one run, ``resolve_gpus``.
        nodes: CPUs and GPUs of each.

    Raises:
        ConfigError: One run needs more than any node has: Ray would wait for ever.
    """
    fit = sum(resources.fit(cpus, gpus) for cpus, gpus in nodes)
    if fit == 0:
        raise ConfigError(_lacking(resources, nodes))
    return min(fit, resources.concurrent or fit)


def _lacking(resources: Resources, nodes: Sequence[Node]) -> list[Problem]:
    cpus, gpus, devices = resources.cpus, resources.gpus, resources.devices_per_trial
    each = f" for its {devices} devices" if devices > 1 else ""
    most_cpus, most_gpus = (max((node[index] for node in nodes), default=0) for index in (0, 1))
    problems = [
        Problem(
            "resources.devices_per_trial" if requested <= most * devices else f"resources.{key}",
            f"a run asks for {requested:g} {what}{each}, but no node has more than {most:g}; "
            "request less",
        )
        for key, requested, most, what in (
            ("cpus_per_trial", cpus, most_cpus, "CPUs"),
            ("gpus_per_trial", gpus, most_gpus, "GPUs"),
        )
        if requested > most
    ]
    message = (
        f"no single node has {gpus:g} GPUs and {cpus:g} CPUs (cpus_per_trial){each}; request less"
    )
    return problems or [Problem("resources.gpus_per_trial", message)]


_PROBE_SECONDS = 5.0

_MODE = "RAY_AUTH_MODE"


@contextmanager
def connect(
    address: str | None, folder: Path, say: Callable[[str], None] = lambda line: None
) -> Iterator[None]:
    """Connect to Ray while the block runs; a connection that exists already is used and kept.

    Args:
        address: ``None`` starts Ray on this machine; ``auto`` or ``host:port`` joins a cluster.
        folder: The folder of the study or suite, which every node of a cluster must see.
        say: Takes a line for people, before the seconds in which a connection is made, and one
            where Ray's files are elsewhere than was asked for.

    Raises:
        UserError: The address is wrong or nothing answers there, a node lacks the folder or
            this package, or the process is connected elsewhere already.
    """
    if ray.is_initialized():
        if address is not None:
            raise UserError(
                f"this process is already connected to Ray, so it cannot join {address}; leave "
                "the address out, or call ray.shutdown() first"
            )
        yield
        return
    _silence()
    with _own_mode():
        if address is None:
            say("starting Ray")
            with local_ray(say):
                yield
            return
        with signals.preserve_handlers():
            _join(address, say)
        with watched(address) as is_dead:
            try:
                check_nodes(folder)
                yield
            finally:
                # From a dead one it takes five seconds, which a command that ends has not.
                if not (is_dead() and signals.is_leaving()):
                    ray.shutdown()


def resolve_gpus(resources: Resources, device: str) -> Resources:
    """Return the resources of one run with its GPUs decided: one where any node has one.

    Args:
        resources: As they were asked for.
        device: ``training.device`` of the runs.
    """
    has_gpu = any(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"])
    return resources.with_gpus(device, has_gpu)


def capacity(resources: Resources) -> int:
    """Return how many runs at once fit on the nodes, at most ``resources.concurrent``.

    Args:
        resources: Those of one run, ``resolve_gpus``.

    Raises:
        ConfigError: One run needs more than any node has: Ray would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return max_concurrent_runs(
        resources, [(node.get("CPU", 0), node.get("GPU", 0)) for node in nodes]
    )


def check_nodes(folder: Path) -> None:
    """Make sure that every node sees ``folder``, or its bucket, and has this version.

    Raises:
        UserError: One does not; the message names it.
    """

    # Local, so that it travels by value: the other node may not have this module.
    def look(path: str, bucket: str) -> tuple[str, str | None]:
        try:
            version_there = importlib.metadata.version("lora2_search")
        except importlib.metadata.PackageNotFoundError:
            return "", None
        if not bucket:
            return "" if os.path.isdir(path) else f"does not see {path}", version_there
        from lora2_search.errors import UserError  # a package may be missing, too
        from lora2_search.store import BucketCopy

        try:
            BucketCopy(bucket, patient=False).check()
        except UserError as error:
            return f"has no access: {error}", version_there
        return "", version_there

    copy = copy_of(folder)
    bucket = copy.url if isinstance(copy, BucketCopy) else ""
    version = importlib.metadata.version("lora2_search")
    probe = ray.remote(num_cpus=0, max_retries=0)(look)
    answers = {}
    for node in ray.nodes():
        if node["Alive"]:
            strategy = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            answers[node["NodeManagerAddress"]] = probe.options(
                scheduling_strategy=strategy
            ).remote(str(folder.absolute()), bucket)
    for host, answer in answers.items():
        trouble, installed = ray.get(answer)
        if installed != version:
            raise UserError(
                f"node {host} has lora2_search {installed or 'not installed'}, but this is "
                f"{version}; install the same version on every node"
            )
        if trouble:
            raise RequestError(
                f"node {host} {trouble}; name a folder that all nodes share, or a bucket (",
                *(Argument("storage"), ")"),
            )


def _join(address: str, say: Callable[[str], None]) -> None:
    if _presents_tokens() and _token() is None:
        raise UserError(
            f"{_MODE} asks for a token, but there is none: copy ~/.ray/auth_token from the head "
            f"node of the cluster to this one, or unset {_MODE}"
        )
    address = _nearest() if address == "auto" else address
    if address != "auto":
        _knock(address)
        if not _admits(address):
            _present_token(address)
    say(f"joining Ray at {address}")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except Exception as error:
        where = "on this machine; give its host:port" if address == "auto" else f"at {address}"
        raise UserError(f"cannot join a Ray cluster {where} ({first_line(error)})") from None


def _presents_tokens() -> bool:
    # Ray aborts the process where it is to present a token and has none.
    return os.environ.get(_MODE, "").lower() == "token"


def _nearest() -> str:
    """Return the address that ``auto`` stands for; ``auto`` where Ray has to find it."""
    from ray._private.services import canonicalize_bootstrap_address

    return canonicalize_bootstrap_address("auto") or "auto"


def _knock(address: str) -> None:
    """Ask the port first: Ray itself tries for minutes and then does not say what was wrong."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        raise UserError(
            f"--address must be `auto` or host:port as `ray start --head` prints it, "
            f"for example 10.0.0.1:6379, but got {address!r}"
        )
    try:
        socket.create_connection((host, int(port)), _PROBE_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"nothing answers at {address} ({error.strerror or error}); "
            "start a cluster with `ray start --head --port 6379` and give its host:port"
        ) from None


def _present_token(address: str) -> None:
    """Make Ray send the token that is at hand, which for an address given by name it does not.

    Only to a cluster that asks: one without tokens lets such a driver in, but starts none of its
    processes. And `ray.init` itself would try for 20 seconds, then not say what was wrong.
    """
    from ray._raylet import Config  # type: ignore[attr-defined]

    token = _token()
    if token is None:
        raise UserError(
            f"the Ray cluster at {address} asks for its token: copy ~/.ray/auth_token from its "
            "head node to this one"
        )
    os.environ[_MODE] = "token"
    Config.initialize("")  # the mode was read when Ray was imported
    if not _admits(address):
        raise UserError(
            f"the Ray cluster at {address} does not accept the token of {token}: it must be that "
            "of ~/.ray/auth_token on the head node"
        )


@contextmanager
def _own_mode() -> Iterator[None]:
    """Put the token mode back afterwards: Ray's own start leaves it on for the next cluster."""
    from ray._raylet import Config  # type: ignore[attr-defined]

    before = os.environ.get(_MODE)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_MODE, None)
        else:
            os.environ[_MODE] = before
        Config.initialize("")


def _admits(address: str) -> bool:
    """Return whether the cluster talks to this process as it is."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    try:
        GcsClient(address=address)
    except ray.exceptions.AuthenticationError:
        return False
    return True


def _token() -> str | None:
    """Return where a cluster token was found."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        if os.environ.get(name):
            return f"${name}"
    return str(TOKEN_FILE) if TOKEN_FILE.expanduser().is_file() else None


def _silence() -> None:
    for name in ("ray", "ray.tune"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
