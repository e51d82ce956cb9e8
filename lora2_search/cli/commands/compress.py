"""``compress``: an adapter cut to a rank after training, as a plain LoRA."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ...experiments import find_adapter
from ...training import CutAdapter, compress_adapter
from ..console.rows import mib, print_json


def run_compress(
    what: str,
    rank: float | None,
    allocation: str,
    out: Path,
    storage: Path | None,
    as_json: bool,
) -> None:
    """Cut the adapter of a study's winner, of a run, or in a folder; say what came of it.

    Raises:
        UserError: There is no such thing, it left no adapter that can be cut, no rank would be
            left, or ``out`` is in use.
    """
    found = find_adapter(what, storage)
    cut = compress_adapter(found.folder, out.expanduser(), rank, allocation)
    if as_json:
        about = {"source": str(found.folder), "rank": rank, "allocation": allocation}
        print_json({**about, **asdict(cut), "folder": str(cut.folder)})
        return
    how = "exact" if rank is None else f"cut to mean rank {rank:g}, {allocation}"
    print(f"{found.what} as a plain LoRA, {how}: {cut.folder}")
    print(f"Ranks:      {_ranks(cut)}")
    print(f"Norm:       {cut.kept_norm:.2%} of the squared Frobenius norm kept")
    print(f"Parameters: {cut.parameters_after:,}, before {cut.parameters_before:,};")
    print(f"            and {cut.head:,} of the head, included")
    print(f"On disk:    {mib(cut.bytes_after)}, before {mib(cut.bytes_before)}")
    print(f"Load it:    model = PeftModel.from_pretrained(model, {str(cut.folder)!r})")
    print("            with peft alone, or in anything that serves PEFT's LoRA")


def _ranks(cut: CutAdapter) -> str:
    ranks = cut.ranks.values()
    return (
        f"{sum(ranks)} kept in {len(ranks)} matrices, {min(ranks)} to {max(ranks)} in each, "
        f"{sum(ranks) / len(ranks):.3g} on average"
    )
