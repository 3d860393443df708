"""Streams one reply at a time from the base. The engine's first, simple form: transformers' own generation in a thread."""

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import torch
from transformers import StoppingCriteria, TextIteratorStreamer

from assistant.engine.base_model import BaseModel
from assistant.errors import ContextFullError
from assistant.prompt import Message


class _StopWhenSet(StoppingCriteria):
    def __init__(self, event: Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


def count_prompt_tokens(base: BaseModel, messages: list[Message]) -> int:
    """Return the length of the rendered prompt in tokens."""
    text = base.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return len(base.tokenizer(text, add_special_tokens=False)["input_ids"])


def context_tokens(base: BaseModel) -> int:
    """Return how many tokens, prompt and reply together, the base can look at."""
    return int(getattr(base.model.config.get_text_config(), "max_position_embeddings", 2048))


def stream_reply(base: BaseModel, messages: list[Message], *, max_tokens: int) -> Iterator[str]:
    """Yield the greedy reply piece by piece; closing the iterator stops the generation.

    Raises:
        ContextFullError: the prompt leaves no room for a reply.
    """
    text = base.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    prompt = base.tokenizer(text, add_special_tokens=False, return_tensors="pt").to(base.device)
    room = context_tokens(base) - prompt["input_ids"].shape[1]
    if room < 1:
        raise ContextFullError(context_tokens(base), prompt["input_ids"].shape[1])
    streamer = TextIteratorStreamer(base.tokenizer, skip_prompt=True, skip_special_tokens=True)
    stop, failures = Event(), []

    def generate() -> None:
        try:
            with torch.inference_mode():
                base.model.generate(
                    **prompt,
                    do_sample=False,
                    max_new_tokens=min(max_tokens, room),
                    pad_token_id=base.tokenizer.pad_token_id,
                    streamer=streamer,
                    stopping_criteria=[_StopWhenSet(stop)],
                )
        except Exception as error:  # noqa: BLE001  the thread's outermost frame: the reader raises it
            failures.append(error)
            streamer.end()

    thread = Thread(target=generate, name="reply", daemon=True)
    thread.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        stop.set()
        thread.join()
    if failures:
        raise failures[0]
