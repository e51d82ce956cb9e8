"""An adapter's weights before training: λ = 0 or u₁ = 0, so any start leaves the outputs alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from .config import Lora2Config
from .factors import Factors, initial_factor, named_generator


def start_value(config: Lora2Config) -> float:
    """Return what every singular value starts at: 1 where u₁ starts at 0, else 0."""
    return 1.0 if config.init == "lora" else 0.0


def start_planes(
    config: Lora2Config,
    module_name: str,
    like: Factors,
    weight: Callable[[], Tensor],
) -> list[Tensor]:
    """Start weights of one matrix: every left factor, then every right one, outer plane first.

    `gaussian` and `orthonormal` draw each factor from a generator of its own (`initial_factor`).
    `svd` takes the frozen weight's leading singular directions as outer plane, and the leading part
    of the identity for inner planes that do not widen, so that λᵢ scales direction i; where there
    are fewer directions than columns, and for planes that widen, it draws orthonormal factors.
    `lora` is the orthonormal start with u₁ = 0; from the first inner plane that widens (r > k)
    inward, right factors are the left ones transposed, or the product of both would lose gain (at
    k = 8, r = 16 its singular values would lie between 0.2 and 1): U V = I, unless a plane further
    in narrows again. With λ = 1 the gradient of u₁ at the first step is that of LoRA's B beside
    A = (u₂ … u_P v_P … v₂) v₁, all others are 0.
    Hard orthogonality cannot begin at a Gaussian start: it begins at the orthonormal one, which is
    distributed as the retracted Gaussian is.

    Under balanced scaling the outermost factors start `outer_norm` times as large.

    Args:
        config: gives `init`, `init_std`, `orthogonality`, `scaling` and `seed`.
        module_name: names the generators.
        like: factors of the wanted shapes.
        weight: gives the frozen weight `[d_out, d_in]`; called for `svd` alone.

    Returns:
        2P tensors on the CPU, or where the weight is.
    """
    init = config.init
    if init in ("svd", "lora") or (init == "gaussian" and config.orthogonality == "hard"):
        init = "orthonormal"
    planes = [
        initial_factor(
            (factor.shape[0], factor.shape[1]),
            init,
            config.init_std,
            named_generator(config.seed, module_name, f"{side}{plane}"),
        )
        for side, factors in (("u", like.left), ("v", like.right))
        for plane, factor in enumerate(factors)
    ]
    if config.init == "svd":
        _follow_weight(planes, weight())
    if config.init == "lora":
        _rest_at_u1(planes)
    for outermost in (0, len(like.left)):
        planes[outermost] = planes[outermost] * config.outer_norm
    return planes


def _rest_at_u1(planes: list[Tensor]) -> None:
    """Let u₁ be 0; from the first plane that widens, right factors are the left ones transposed."""
    count = len(planes) // 2
    planes[0] = torch.zeros_like(planes[0])
    widened = False
    for inner in range(1, count):
        rows, columns = planes[inner].shape
        widened |= columns > rows
        if widened:
            planes[count + inner] = planes[inner].mT.contiguous()


def _follow_weight(planes: list[Tensor], weight: Tensor) -> None:
    """Replace drawn planes by singular directions and by the identity, where they fit."""
    count = len(planes) // 2
    width = planes[0].shape[1]
    if 0 < width <= min(weight.shape):
        planes[0], planes[count] = leading_directions(weight, width)
    for inner in range(1, count):
        rows, columns = planes[inner].shape
        if columns <= rows:
            planes[inner] = torch.eye(rows, columns)
            planes[count + inner] = torch.eye(columns, rows)


def leading_directions(weight: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Left `[d_out, count]` and right `[count, d_in]` singular vectors, largest values first.

    Exact and without random numbers: torch.svd_lowrank would draw some. About 0.7 s for 768 x 3072
    on one core. Half precision is raised to float32.

    Raises:
        torch.linalg.LinAlgError: the weight is not finite.
    """
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    wide = weight.shape[0] < weight.shape[1]
    # LAPACK takes less than half the time for the tall orientation.
    u, _, v = torch.linalg.svd(weight.mT if wide else weight, full_matrices=False)
    u, v = (v.mT, u.mT) if wide else (u, v)
    return u[:, :count], v[:count]
