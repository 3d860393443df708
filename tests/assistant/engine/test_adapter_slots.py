from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from assistant.engine.adapter_files import verify_adapter
from assistant.engine.adapter_slots import AdapterSlots, adapted
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


def test_where_memory_is_short_for_a_larger_rank_the_others_are_served_as_before(
    tiny_base: Path, make_adapter: MakeAdapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_base_model(tiny_base, quantisation=Quantisation.NONE, device="cpu", dtype=torch.float32)
    small = verify_adapter(make_adapter(tmp_path / "small", base, seed=1))
    large = verify_adapter(make_adapter(tmp_path / "large", base, seed=2, rank=20))
    ids = torch.tensor([render_prompt(base.tokenizer, HI)])
    slots, zeros, calls = AdapterSlots(base.model, 2), torch.zeros, []

    def fail_late(*size: int, **options: torch.device) -> torch.Tensor:
        calls.append(size)
        if len(calls) == 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return zeros(*size, **options)  # type: ignore[call-overload,no-any-return]

    with torch.inference_mode():
        slots.make_room(small)
        slots.write(1, small)
        slots.choose([1])
        before = base.model(input_ids=ids).logits
        with monkeypatch.context() as patch:
            patch.setattr(torch, "zeros", fail_late)
            with pytest.raises(torch.OutOfMemoryError):
                slots.make_room(large)
        slots.choose([1])
        assert torch.equal(base.model(input_ids=ids).logits, before)
        slots.make_room(large)
        slots.choose([1])
        torch.testing.assert_close(base.model(input_ids=ids).logits, before)
    slots.close()


@pytest.mark.parametrize("layers", [("q_proj", "v_proj", "down_proj"), ("q_proj",)])
def test_nothing_of_an_adapter_with_giant_numbers_stays_for_the_next_in_its_slot(
    layers: tuple[str, ...], tiny_base: Path, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    base = load_base_model(tiny_base, quantisation=Quantisation.NONE, device="cpu", dtype=torch.float32)
    good = verify_adapter(make_adapter(tmp_path / "good", base, seed=1, layers=layers))
    giant = verify_adapter(make_adapter(tmp_path / "giant", base, seed=2, rank=8))
    for down, _ in giant.layers.values():
        down.fill_(3e38)
    ids = torch.tensor([render_prompt(base.tokenizer, HI)] * 2)
    slots = AdapterSlots(base.model, 2)
    with torch.inference_mode():
        slots.make_room(giant)
        said = []
        for adapters in ([good], [giant, good]):
            for adapter in adapters:
                slots.write(0, adapter)
            for rows in ([0, 0], [0, None]):  # one release alone, and beside another
                slots.choose(rows)
                said.append(base.model(input_ids=ids).logits)
    assert torch.isfinite(said[2]).all()
    assert torch.equal(said[2], said[0])
    assert torch.equal(said[3], said[1])
    slots.close()
