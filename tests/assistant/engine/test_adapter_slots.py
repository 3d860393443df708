from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from assistant.engine.adapter_files import verify_adapter
from assistant.engine.adapter_slots import adapted
from assistant.engine.base_model import Quantisation, load_base_model
from assistant.engine.rendering import render_prompt
from assistant.prompt import build_messages

HI = build_messages(None, [], "hi")
MakeAdapter = Callable[..., Path]


@pytest.mark.parametrize(
    ("quantisation", "dtype"), [(Quantisation.NF4, None), (Quantisation.NF4, torch.float32), (Quantisation.NONE, torch.float32)]
)
def test_what_is_served_is_what_peft_makes_of_the_same_files(
    quantisation: Quantisation, dtype: torch.dtype | None, tiny_base: Path, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    base = load_base_model(tiny_base, quantisation=quantisation, device="cpu", dtype=dtype)
    folder = make_adapter(tmp_path / "one", base, seed=1)
    ids = torch.tensor([render_prompt(base.tokenizer, HI)])
    with torch.inference_mode(), adapted(base.model, verify_adapter(folder)):
        served = base.model(input_ids=ids).logits
    with torch.inference_mode():
        bare = base.model(input_ids=ids).logits
    # Another copy: on a CPU with bfloat16 instructions the first pass packs the weights, and peft's loading unpacks them with a loss.
    other = load_base_model(tiny_base, quantisation=quantisation, device="cpu", dtype=dtype)
    with torch.inference_mode():
        measured = PeftModel.from_pretrained(other.model, str(folder)).eval()(input_ids=ids).logits
    torch.testing.assert_close(served, measured, rtol=1e-5, atol=1e-5)
    assert not torch.equal(served, bare)
