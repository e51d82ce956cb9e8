from __future__ import annotations

import torch
from torch.nn import functional as F

from lora2_search.training.loop.prepare import Prepared, prepare
from lora2_search.verification.plan import Plan
from lora2_search.verification.probes.leave_one_out import Batch, Zeroing
from lora2_search.verification.probes.watch import Watch


def trained(plan: Plan) -> tuple[Watch, list[Batch]]:
    prepared: Prepared = prepare(plan.run_config("unpruned", 100))
    watch = Watch(plan, 100, prepared)
    list(prepared.trainer.advance(0, 4))
    split = prepared.encoded["validation"]
    batches = []
    for rows in ([0, 1, 2], [3, 4]):
        inputs = prepared.trainer.kind.collate(split, rows).inputs
        batches.append(Batch(inputs, torch.tensor(split.labels[rows])))
    return watch, batches


def by_hand(watch: Watch, batches: list[Batch]) -> torch.Tensor:
    """Zero every λᵢ and run the whole model, nothing kept from anywhere."""
    model = watch.model.eval()

    @torch.no_grad()
    def losses() -> torch.Tensor:
        parts = [
            F.cross_entropy(model(**b.inputs).logits.double(), b.labels.long(), reduction="none")
            for b in batches
        ]
        return torch.cat(parts)

    before, rows = losses(), []
    for matrix in watch.matrices().values():
        for index in range(len(matrix.values)):
            kept = matrix.values.data[index].clone()
            matrix.values.data[index] = 0
            rows.append(losses() - before)
            matrix.values.data[index] = kept
    return torch.stack(rows)


def test_replayed_blocks_change_no_loss(plan: Plan) -> None:
    watch, batches = trained(plan)
    found = Zeroing(watch.model, watch.matrices(), batches, "classification").changes()
    assert torch.equal(found, by_hand(watch, batches))
    assert found.abs().sum() > 0


def test_blocks_before_the_zeroed_one_are_not_computed_again(plan: Plan) -> None:
    watch, batches = trained(plan)
    counts = [0, 0]
    blocks = watch.model.get_submodule("base_model.model.bert.encoder.layer")
    for index, block in enumerate(blocks):  # type: ignore[arg-type]

        def count(*_: object, index: int = index) -> None:
            counts[index] += 1

        block.register_forward_hook(count)
    Zeroing(watch.model, watch.matrices(), batches[:1], "classification").changes()
    in_first = sum(
        len(matrix.values) for name, matrix in watch.matrices().items() if ".layer.0." in name
    )
    every = sum(len(matrix.values) for matrix in watch.matrices().values())
    assert counts == [1 + in_first, 1 + every]


def test_the_model_is_left_as_it_was(plan: Plan) -> None:
    watch, batches = trained(plan)
    watch.model.train()
    before = {name: tensor.clone() for name, tensor in watch.model.state_dict().items()}
    modules = [module for _, module in watch.model.named_modules()]
    state = torch.get_rng_state()
    Zeroing(watch.model, watch.matrices(), batches, "classification").changes()
    after = watch.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [module for _, module in watch.model.named_modules()] == modules
    assert watch.model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_modules_outside_a_list_of_blocks_are_measured_in_whole_forwards(plan: Plan) -> None:
    watch, batches = trained(plan)
    renamed = {name.replace(".", "_"): matrix for name, matrix in watch.matrices().items()}
    found = Zeroing(watch.model, renamed, batches, "classification").changes()
    assert torch.equal(found, by_hand(watch, batches))
