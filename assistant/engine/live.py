"""Streams one reply at a time from the base. The engine's first, simple form: transformers' own generation in a thread."""

from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import torch
from transformers import StoppingCriteria, TextIteratorStreamer

from assistant.engine.base_model import BaseModel, is_out_of_memory, shorten_error
from assistant.engine.rendering import render_prompt
from assistant.errors import AssistantError, ContextFullError, GenerationError, NoMemoryError
from assistant.prompt import Message


class _StopWhenSet(StoppingCriteria):
    def __init__(self, event: Event) -> None:
        self._event = event

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


def count_prompt_tokens(base: BaseModel, messages: list[Message]) -> int:
    """Return the length of the rendered prompt in tokens.

    Raises:
        TemplateRefusedError: the chat template cannot show these messages.
    """
    return len(render_prompt(base.tokenizer, messages))


def context_tokens(base: BaseModel) -> int:
    """Return how many tokens, prompt and reply together, the base can look at."""
    return int(getattr(base.model.config.get_text_config(), "max_position_embeddings", 2048))


def stream_reply(base: BaseModel, messages: list[Message], *, max_tokens: int) -> Iterator[str]:
    """Yield the greedy reply piece by piece; closing the iterator stops the generation.

    Raises:
        ContextFullError: the prompt leaves no room for a reply.
        TemplateRefusedError: the chat template cannot show these messages.
        NoMemoryError: the device's memory is exhausted.
        GenerationError: the base failed in another way.
    """
    ids = render_prompt(base.tokenizer, messages)
    room = context_tokens(base) - len(ids)
    if room < 1:
        raise ContextFullError(context_tokens(base), len(ids))
    streamer = TextIteratorStreamer(base.tokenizer, skip_prompt=True, skip_special_tokens=True)
    stop = Event()
    failures: list[Exception] = []

    def generate() -> None:
        try:
            prompt = torch.tensor([ids], device=base.device)  # (1, length)
            with torch.inference_mode():
                base.model.generate(
                    input_ids=prompt,
                    attention_mask=torch.ones_like(prompt),
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
        raise _explain_failure(base, failures[0]) from failures[0]


def _explain_failure(base: BaseModel, error: Exception) -> AssistantError:
    if is_out_of_memory(error):
        return NoMemoryError("a reply", str(base.device))
    return GenerationError(shorten_error(error))
