"""What a target that matches no module may have meant."""

import difflib
from collections.abc import Iterable

from torch import nn

from .frozen import is_adaptable


def nearest_modules(model: nn.Module, targets: str | Iterable[str]) -> str:
    """A sentence naming the adaptable modules that are spelt most like the targets.

    Where nothing is alike (a regular expression, say) it lists what there is, at most eight names.

    Args:
        model: the base model.
        targets: the suffixes, or the expression, that matched nothing.
    """
    linear = (name for name, module in model.named_modules() if is_adaptable(module))
    # Below an adapter of its own, a layer is called "….base_layer".
    endings = sorted({n.removesuffix(".base_layer").rpartition(".")[2] for n in linear} - {""})
    if not endings:
        return "The model has no linear layers."
    wanted = [targets] if isinstance(targets, str) else sorted(targets)
    near = [
        name
        for target in wanted
        for name in difflib.get_close_matches(target.rpartition(".")[2], endings)
    ]
    if near:
        return f"The nearest linear layers are {', '.join(dict.fromkeys(near))}."
    shown = ", ".join(endings[:8]) + (", …" if len(endings) > 8 else "")
    return f"The linear layers of this model are {shown}."
