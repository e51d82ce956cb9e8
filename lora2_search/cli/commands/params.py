"""``params``: how many parameters an adapter trains and scores, from the configuration alone."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from ...errors import UserError
from ..console.rows import print_json, print_rows

if TYPE_CHECKING:
    from ...training import Sizes

PAPER = (
    "The paper's saving of about 98.5 % is k = 8, r = 16 on DeBERTaV3-base, which none of its "
    "published settings uses (there, r = 8 saves 99.27 % and r = 4 saves 99.63 %)."
)


def run_params(
    model: str, k: str, r: int, target_modules: list[str] | None, labels: int, as_json: bool
) -> None:
    """Print the counts of an adapter that was not pruned yet.

    Raises:
        UserError: ``k`` is no width, the model's configuration cannot be read, or the adapter does
            not fit it.
    """
    widths = parse_widths(k)
    if labels < 1:
        raise UserError(f"--labels must be at least 1, got {labels}")

    from ...training import adapter_sizes

    sizes = adapter_sizes(model, widths, r, _targets(target_modules), labels)
    if as_json:
        asked = {"model": model, "k": widths, "r": r, "labels": labels}
        print_json({**asked, "parameters": _told(sizes), "note": PAPER})
    else:
        _print(sizes, f"{model}, {labels} label(s), adapter k={widths} r={r}")


def parse_widths(text: str) -> int | list[int]:
    """Return the ``k`` that was typed: ``8``, ``16,8`` or ``[16, 8]``, ``none`` for ``[]``.

    Raises:
        UserError: It is neither.
    """
    inner = text.strip().removeprefix("[").removesuffix("]").strip()
    if inner.lower() in ("", "none"):
        return []
    try:
        widths = [int(part) for part in inner.split(",")]
    except ValueError:
        raise UserError(
            f"--k must be a width (8), several from the outer plane inwards (16,8), or none for a "
            f"single plane, got {text!r}"
        ) from None
    return widths if len(widths) > 1 or text.strip().startswith("[") else widths[0]


def _targets(given: list[str] | None) -> list[str] | str | None:
    if given is None:
        return None
    names = [name for part in given for name in part.split(",") if name]
    return names[0] if names == ["all-linear"] else names


def _told(sizes: Sizes) -> dict[str, object]:
    return {**asdict(sizes), "share": sizes.share, "scoring_saved": sizes.saved}


def _print(sizes: Sizes, about: str) -> None:
    rows = [
        {
            "module": kind.name,
            "matrices": kind.matrices,
            "shape": " x ".join(map(str, kind.shape)),
            "adapter": f"{kind.adapter:,}",
            "scored, full": f"{kind.scored_full:,}",
            "scored, reduced": f"{kind.scored_reduced:,}",
        }
        for kind in sizes.kinds
    ]
    total = {
        "module": "all",
        "matrices": sum(kind.matrices for kind in sizes.kinds),
        "adapter": f"{sizes.adapter:,}",
        "scored, full": f"{sizes.scored_full:,}",
        "scored, reduced": f"{sizes.scored_reduced:,}",
    }
    print(f"{about}\n")
    print_rows([*rows, total])
    lines = {
        "Model": f"{sizes.model:,} parameters, including its head",
        "Adapter": f"{sizes.adapter:,} parameters, {sizes.share:.2%} of the model",
        "Head": f"{sizes.head:,} ({', '.join(sizes.heads)}), trained beside it, not included",
        "Scored": f"{sizes.scored_reduced:,} instead of {sizes.scored_full:,}: {sizes.saved:.2%} "
        "saved by reduced scoring",
        "Compressed": f"{sizes.compressed:,} as a plain LoRA, nothing pruned",
        "File": f"{sizes.file_bytes:,} bytes in 32 bits, {4 * sizes.head:,} of them the head",
    }
    print()
    for name, text in lines.items():
        print(f"{name + ':':12}{text}")
    print(f"\n{PAPER}")
