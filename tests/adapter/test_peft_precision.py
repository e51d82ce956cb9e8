"""Half and double precision."""

from __future__ import annotations

import pytest
import torch
from peft import get_peft_model

from lora2_search.adapter import Lora2Config

from .models import (
    factors_of,
    scramble,
    tiny_bert,
    tokens,
)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_factors_follow_the_base_except_below_float32(dtype: torch.dtype) -> None:
    model = get_peft_model(tiny_bert().to(dtype), Lora2Config(k=4, r=5)).eval()
    expected = torch.float32 if dtype == torch.bfloat16 else dtype
    assert {f.values.dtype for f in factors_of(model)} == {expected}
    scramble(model)
    logits = model(tokens()).logits
    assert logits.dtype == dtype
    merged = model.merge_and_unload()(tokens()).logits
    torch.testing.assert_close(merged, logits, rtol=0.05, atol=0.05)
