"""What is written in a batch is what is written alone: over architectures, windows, adapters, comings and goings."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from assistant.engine.base_model import BaseModel, Quantisation, load_base_model
from assistant.engine.batcher import _list_ends
from assistant.engine.limits import EngineLimits
from assistant.engine.live import LiveAssistant, make_bare_release
from assistant.engine.rendering import render_prompt
from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.engine.row_cache import RowCache
from assistant.errors import BaseUnsupportedError, GenerationError, QueueFullError
from assistant.prompt import Message, build_messages
from tests.random_adapters import describe_release

MakeAdapter = Callable[..., Path]
WINDOW = 16
_SHAPE = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 256}
_NARROW = {"num_key_value_heads": 1, "head_dim": 64}
_ARCHITECTURES: dict[str, Callable[[int], Any]] = {
    "llama": lambda size: LlamaConfig(vocab_size=size, **_SHAPE),
    "qwen3": lambda size: Qwen3Config(vocab_size=size, **_NARROW, **_SHAPE),
    "qwen3, windows in some layers": lambda size: Qwen3Config(
        vocab_size=size, **_NARROW, **_SHAPE, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1
    ),
    "mistral": lambda size: MistralConfig(vocab_size=size, sliding_window=WINDOW, **_NARROW, **_SHAPE),
    "gemma2": lambda size: Gemma2Config(vocab_size=size, sliding_window=WINDOW, **_NARROW, **_SHAPE),
    "gemma3": lambda size: Gemma3TextConfig(vocab_size=size, sliding_window=WINDOW, sliding_window_pattern=2, **_NARROW, **_SHAPE),
    "phi": lambda size: PhiConfig(vocab_size=size, **_SHAPE),
    "phi3": lambda size: Phi3Config(vocab_size=size, num_key_value_heads=2, pad_token_id=0, sliding_window=WINDOW, **_SHAPE),
}


def ask(words: int) -> list[Message]:
    return build_messages(None, [], " ".join(random.Random(words).choices(["refund", "when", "parcel", "my", "order", "help"], k=words)))


PROMPTS = [ask(words) for words in (3, 40, 11, 25, 7, 60)]
LONG = Sampling(max_tokens=40)


def make_base(folder: Path, tokenizer: PreTrainedTokenizerFast, architecture: str) -> BaseModel:
    """A random model that never ends a reply by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(_ARCHITECTURES[architecture](len(tokenizer))).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    base = load_base_model(folder, device="cpu", quantisation=Quantisation.NONE, dtype=torch.float32)
    base.model.generation_config.eos_token_id = None
    base.tokenizer.eos_token = None
    return base


def generate_alone(model: Any, base: BaseModel, prompt: Sequence[Message], tokens: int) -> list[int]:
    ids = torch.tensor([render_prompt(base.tokenizer, prompt)])
    with torch.inference_mode():
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=base.tokenizer.pad_token_id,
        )
    return [int(token) for token in out[0, ids.shape[1] :]]


def read_text(base: BaseModel, ids: list[int]) -> str:
    text: str = base.tokenizer.decode(ids, skip_special_tokens=True)
    return text.rstrip("�")


def read(reply: Reply) -> str:
    return "".join(reply).rstrip("�")


@pytest.mark.parametrize("architecture", _ARCHITECTURES)
def test_rows_of_a_batch_say_what_generate_says_to_each_alone_beyond_the_window(
    architecture: str, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    base = make_base(tmp_path, tokenizer, architecture)
    alone = [read_text(base, generate_alone(base.model, base, prompt, 40)) for prompt in PROMPTS]
    with LiveAssistant(base, EngineLimits(rows=4)) as live:
        live.swap_to(make_bare_release(base))
        assert [read(reply) for reply in [live.stream(prompt, LONG) for prompt in PROMPTS]] == alone
        again = [live.stream(prompt, LONG) for prompt in reversed(PROMPTS)]  # now from what is kept of the first time
        assert [read(reply) for reply in again] == list(reversed(alone))


def test_a_base_without_keys_and_values_is_refused_at_the_start(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, state_size=8)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    base = load_base_model(tmp_path, device="cpu", quantisation=Quantisation.NONE)
    with pytest.raises(BaseUnsupportedError, match="Choose another base"):
        LiveAssistant(base)


def test_a_base_that_says_something_else_in_a_batch_is_refused_at_the_start(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assistant.engine.attention.Attention.mask", lambda self, positions, visible: None)
    with pytest.raises(BaseUnsupportedError):
        LiveAssistant(load_base_model(tiny_base, device="cpu"))


@pytest.fixture
def base(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> BaseModel:
    return make_base(tmp_path / "base", tokenizer, "llama")


def test_rows_of_several_releases_in_one_batch_say_what_peft_says_with_each(
    base: BaseModel, make_adapter: MakeAdapter, tmp_path: Path
) -> None:
    kinds = {1: (4, ("q_proj", "v_proj")), 2: (19, ("down_proj", "gate_proj")), 3: (8, ("q_proj", "o_proj", "down_proj"))}
    folders = {
        version: make_adapter(tmp_path / str(version), base, seed=version, rank=rank, layers=layers)
        for version, (rank, layers) in kinds.items()
    }
    asked = [(number % 4, prompt) for number, prompt in enumerate(PROMPTS * 2)]
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        for version, folder in folders.items():
            live.load(describe_release(base, version, folder))
        replies = [live.stream(prompt, LONG, version=version) for version, prompt in asked]
        said = [read(reply) for reply in replies]
    expected = {0: [read_text(base, generate_alone(base.model, base, prompt, 40)) for _, prompt in asked]}
    for version, folder in folders.items():
        other = load_base_model(base.name, device="cpu", quantisation=Quantisation.NONE, dtype=torch.float32)
        other.model.generation_config.eos_token_id = None
        model = PeftModel.from_pretrained(other.model, str(folder)).eval()
        expected[version] = [read_text(base, generate_alone(model, base, prompt, 40)) for _, prompt in asked]
    assert said == [expected[version][number] for number, (version, _) in enumerate(asked)]
    assert len(set(said[:4])) == 4


def test_an_adapter_with_giant_numbers_spoils_no_other_row(base: BaseModel, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        live.load(describe_release(base, 1, make_adapter(tmp_path / "1", base, seed=1)))
        alone = [read(live.stream(prompt, LONG, version=version)) for prompt in PROMPTS[:2] for version in (0, 1)]
        giant = describe_release(base, 2, make_adapter(tmp_path / "2", base, seed=2, scale=1e30))
        replies = [live.stream(prompt, LONG, version=version) for prompt in PROMPTS[:2] for version in (0, 1)]
        with pytest.raises(Exception, match="its numbers are not finite"):
            live.load(giant)  # its probe runs beside the others, and its lines stay in the slot
        assert [read(reply) for reply in replies] == alone
        again = [live.stream(prompt, LONG, version=version) for prompt in PROMPTS[:2] for version in (0, 1)]
        assert [read(reply) for reply in again] == alone


def test_a_row_that_fails_leaves_the_others_as_they_were(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = base.model.lm_head.forward
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        alone = [read(live.stream(prompt, LONG)) for prompt in PROMPTS[:3]]
        ids = render_prompt(base.tokenizer, PROMPTS[1])

        def fail_for_one(hidden: torch.Tensor) -> torch.Tensor:
            written_now = live._batcher._rows[live._batcher._cache._range]
            if any(row.ids[: len(ids)] == ids and row.written > 5 for row in written_now):
                raise RuntimeError("no luck")
            return forward(hidden)

        monkeypatch.setattr(base.model.lm_head, "forward", fail_for_one)
        replies = [live.stream(prompt, LONG) for prompt in PROMPTS[:3]]
        assert [read(replies[0]), read(replies[2])] == [alone[0], alone[2]]
        with pytest.raises(GenerationError, match="no luck"):
            read(replies[1])
        assert replies[1].outcome is not None
        assert (replies[1].outcome.finish, replies[1].outcome.reply_tokens) == (FinishReason.FAILED, 6)
        assert live.status().rows == 0


def test_a_reply_that_is_cancelled_or_late_frees_its_row_at_once_and_the_others_go_on(base: BaseModel) -> None:
    with LiveAssistant(base, EngineLimits(rows=2)) as live:
        live.swap_to(make_bare_release(base))
        alone = read(live.stream(PROMPTS[2], LONG))
        endless = [live.stream(PROMPTS[0], Sampling(max_tokens=200)) for _ in range(2)]
        waiting = live.stream(PROMPTS[2], LONG)
        unwanted = live.stream(PROMPTS[2], LONG)
        late = live.stream(PROMPTS[2], LONG, deadline_s=0.0)
        next(endless[0])
        unwanted.cancel()
        endless[0].cancel()
        assert read(waiting) == alone
        endless[1].cancel()
        for reply in (*endless, unwanted, late):
            read(reply)
        finishes = [reply.outcome and reply.outcome.finish for reply in (*endless, unwanted, late)]
        assert finishes == [FinishReason.CANCELLED] * 3 + [FinishReason.DEADLINE]


def test_a_full_queue_refuses_and_says_when_to_try_again(base: BaseModel) -> None:
    with LiveAssistant(base, EngineLimits(rows=1, waiting=2)) as live:
        live.swap_to(make_bare_release(base))
        replies = [live.stream(PROMPTS[0], Sampling(max_tokens=200)) for _ in range(3)]
        with pytest.raises(QueueFullError, match=r"Found 3 replies before yours\. Try again in \d+ second"):
            live.stream(PROMPTS[0], LONG)
        for reply in replies:
            reply.cancel()
            read(reply)
        assert read(live.stream(PROMPTS[0], LONG))


def test_many_come_and_go_and_each_gets_what_it_gets_alone(base: BaseModel, make_adapter: MakeAdapter, tmp_path: Path) -> None:
    chance = random.Random(5)
    with LiveAssistant(base, EngineLimits(rows=5, waiting=1000, prefix_mb=1)) as live:
        live.swap_to(make_bare_release(base))
        live.load(describe_release(base, 1, make_adapter(tmp_path / "1", base, seed=1)))
        ways = [(prompt, version, length) for prompt in PROMPTS for version in (0, 1) for length in (1, 2, 9, 40)]
        alone = [read(live.stream(prompt, Sampling(max_tokens=length), version=version)) for prompt, version, length in ways]
        picked = [chance.randrange(len(ways)) for _ in range(150)]
        replies = [live.stream(ways[way][0], Sampling(max_tokens=ways[way][2]), version=ways[way][1]) for way in picked]
        dropped = set(chance.sample(range(150), 30))
        for number in dropped:
            replies[number].cancel()
        for number, (way, reply) in enumerate(zip(picked, replies, strict=True)):
            said = read(reply)
            assert said == alone[way] or (number in dropped and alone[way].startswith(said))
        status = live.status()
        assert (status.rows, status.waiting) == (0, 0)


def test_a_long_prompt_is_read_in_pieces_between_the_tokens_of_others(base: BaseModel) -> None:
    order: list[str] = []
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        batcher = live._batcher
        advance = batcher._advance
        batcher._choose_read_length = lambda writing: 16  # type: ignore[method-assign]

        def note(start: int, stop: int, length: int) -> None:
            order.append("read" if length > 1 else "write")
            advance(start, stop, length)

        batcher._advance = note  # type: ignore[method-assign]
        first = live.stream(PROMPTS[0], Sampling(max_tokens=100))
        next(first)
        order.clear()
        second = live.stream(ask(70), Sampling(max_tokens=2))
        read(second)
        first.cancel()
        read(first)
    reads = [place for place, what in enumerate(order) if what == "read"]
    assert len(reads) >= 4
    assert all(order[place + 1] == "write" for place in reads)


def test_a_lost_device_fails_the_replies_under_way_and_the_engine_goes_on(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    with LiveAssistant(base, EngineLimits(rows=2)) as live:
        live.swap_to(make_bare_release(base))
        alone = read(live.stream(PROMPTS[0], LONG))
        replies = [live.stream(prompt, Sampling(max_tokens=200)) for prompt in PROMPTS[:3]]
        next(replies[0])
        with monkeypatch.context() as patch:
            patch.setattr(base.model.lm_head, "forward", fail)
            for copy in ("move", "swap", "read"):
                patch.setattr(RowCache, copy, fail)
            for reply in replies:
                with pytest.raises(GenerationError, match="unspecified launch failure"):
                    read(reply)
        assert (live.status().rows, live.status().waiting, live._releases._users) == (0, 0, {})
        assert read(live.stream(PROMPTS[0], LONG)) == alone


def test_a_reply_whose_text_fails_ends_alone(base: BaseModel) -> None:
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        alone = read(live.stream(PROMPTS[0], LONG))
        broken = live.stream(PROMPTS[1], LONG, stop=[5])  # type: ignore[list-item]
        other = live.stream(PROMPTS[0], LONG)
        with pytest.raises(GenerationError):
            read(broken)
        assert broken.outcome is not None
        assert broken.outcome.finish is FinishReason.FAILED
        assert read(other) == alone


def test_a_reply_is_whole_where_there_is_no_memory_to_keep_what_was_read(base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        alone = read(live.stream(PROMPTS[0], LONG))
        monkeypatch.setattr(RowCache, "read", fail)
        replies = [live.stream(PROMPTS[0], LONG) for _ in range(2)]
        assert [read(reply) for reply in replies] == [alone] * 2


def test_as_many_rows_are_admitted_as_memory_holds_also_after_a_long_one(base: BaseModel) -> None:
    most = 0
    with LiveAssistant(base, EngineLimits(rows=8)) as live:
        live.swap_to(make_bare_release(base))
        batcher = live._batcher
        length = len(render_prompt(base.tokenizer, ask(3))) + LONG.max_tokens
        batcher._max_cache_bytes = 2 * (length + 64) * batcher._cache.bytes_a_token  # for two of them, and for no four
        read(live.stream(PROMPTS[5], Sampling(max_tokens=180)))
        replies = [live.stream(ask(3), LONG) for _ in range(6)]
        while any(reply.outcome is None for reply in replies):
            most = max(most, live.status().rows)
        for reply in replies:
            read(reply)
    assert most == 2


def test_a_reply_ends_where_the_tokenizer_says_so_too(base: BaseModel) -> None:
    base.model.generation_config.eos_token_id = [3]
    base.tokenizer.eos_token = base.tokenizer.convert_ids_to_tokens(5)
    assert set(_list_ends(base)) == {3, 5}


def test_a_base_that_turns_long_prompts_in_another_way_says_the_same_beside_a_long_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 16, "long_factor": [30.0] * 16}
    near = {"num_key_value_heads": 2, "initializer_range": 0.3}  # weights so large that it matters what is near
    monkeypatch.setitem(
        _ARCHITECTURES,
        "phi3, long",
        lambda size: Phi3Config(
            vocab_size=size, pad_token_id=0, rope_parameters=rope, original_max_position_embeddings=64, **near, **_SHAPE
        ),
    )
    base = make_base(tmp_path, tokenizer, "phi3, long")
    with LiveAssistant(base) as live:
        live.swap_to(make_bare_release(base))
        alone = read(live.stream(PROMPTS[0], LONG))
        longest = live.stream(PROMPTS[3], Sampling(max_tokens=1000))
        replies = [live.stream(PROMPTS[0], LONG) for _ in range(3)]
        assert [read(reply) for reply in replies] == [alone] * 3
        read(longest)
    assert longest.outcome is not None
    assert longest.outcome.prompt_tokens + longest.outcome.reply_tokens == 64
