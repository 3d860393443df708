"""A reply on its way to a program: followed without a thread of its own, and told as it comes or as a whole. Knows the shapes of OpenAI.

Text is told at most twenty times a second: a program that gets each token by itself costs more than the token.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from anyio import CancelScope, to_thread
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from assistant.api.completions import Completion, Completions
from assistant.api.errors import ApiError, explain, fail
from assistant.engine.reply import FinishReason, Outcome, Reply
from assistant.errors import AssistantClosedError, AssistantError
from feedback_db.errors import FeedbackError

_PAUSE_S = 0.05
_SIGN_OF_LIFE_S = 15.0  # proxies end a stream that says nothing for long
_FINISHED = {FinishReason.COMPLETE: "stop", FinishReason.LENGTH: "length", FinishReason.DEADLINE: "length"}
_log = logging.getLogger(__name__)


class CompletionStream(StreamingResponse):
    """Tells a reply as it comes; whatever ends the answer, also before it has begun, ends the reply."""

    def __init__(self, completions: Completions, completion: Completion, *, tells_usage: bool, headers: Mapping[str, str]) -> None:
        super().__init__(_stream_events(completion, tells_usage=tells_usage), media_type="text/event-stream", headers=headers)
        self._completions, self._completion = completions, completion

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await _end(self._completions, self._completion)


async def _stream_events(completion: Completion, *, tells_usage: bool) -> AsyncIterator[str]:
    """Tell a reply as server-sent events, the last of which says that it is over."""
    try:
        yield _to_event(_make_chunk(completion, {"role": "assistant", "content": ""}))
        async for text in _follow(completion):
            yield _to_event(_make_chunk(completion, {"content": text})) if text else ": still here\n\n"
        outcome = _find_outcome(completion)
    except Exception as error:  # noqa: BLE001  the stream's outermost frame: whatever it was, the program is told
        yield _to_event(_explain_any(error).describe())
    else:
        yield _to_event(_make_chunk(completion, {}, finish=_FINISHED[outcome.finish]))
        if tells_usage:
            yield _to_event({**_make_chunk(completion, {}), "choices": [], "usage": _count(outcome)})
    yield "data: [DONE]\n\n"


async def tell_whole(completions: Completions, completion: Completion, request: Request) -> dict[str, Any]:
    """Wait for a reply and return it as a whole; who goes away before ends it.

    Raises:
        AssistantError, FeedbackError: it failed, could not be logged, or Errata ends.
    """
    watching = asyncio.create_task(_cancel_when_gone(request, completion.answer.reply))
    try:
        async for _ in _follow(completion):
            pass
    finally:
        watching.cancel()
        await _end(completions, completion)
    turn, outcome = completion.answer.turn, _find_outcome(completion)
    return {
        **_describe(completion, "chat.completion"),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "" if turn is None else turn.reply, "refusal": None},
                "finish_reason": _FINISHED[outcome.finish],
                "logprobs": None,
            }
        ],
        "usage": _count(outcome),
    }


async def _follow(completion: Completion) -> AsyncIterator[str]:
    """Yield text as it comes, "" as a sign of life; the reply has ended and is logged when this has come to its end."""
    answer, is_over = completion.answer, False
    while not is_over:
        has_news = await _wait(answer.reply)
        is_over = answer.reply.outcome is not None  # then all that it says is there
        text = answer.take()
        if text or not has_news:
            yield text
        if not is_over:
            await asyncio.sleep(_PAUSE_S)
    await to_thread.run_sync(_finish, completion)


async def _end(completions: Completions, completion: Completion) -> None:
    """End a reply and log it, whatever happens to whoever waits for it."""
    with CancelScope(shield=True):
        try:
            await to_thread.run_sync(completions.end, completion)
        except (AssistantError, FeedbackError):
            _log.exception("a reply could not be logged")


async def _wait(reply: Reply) -> bool:
    """Wait until there is more, and say whether there is: after a while without, there is none."""
    loop, more = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        with suppress(RuntimeError):  # the server has ended
            loop.call_soon_threadsafe(more.set)

    reply.wake_once(wake)
    with suppress(TimeoutError):
        await asyncio.wait_for(more.wait(), _SIGN_OF_LIFE_S)
    return more.is_set()


def _finish(completion: Completion) -> None:
    """Log a reply whose text is all taken.

    Raises:
        AssistantError, FeedbackError: it failed, or could not be logged.
    """
    for _ in completion.answer:
        pass


async def _cancel_when_gone(request: Request, reply: Reply) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    reply.cancel()


def _make_chunk(completion: Completion, delta: dict[str, str], *, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {**_describe(completion, "chat.completion.chunk"), "choices": [choice]}


def _describe(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": int(completion.created_at.timestamp()),
        "model": completion.model,
        "system_fingerprint": completion.model,
    }


def _count(outcome: Outcome) -> dict[str, int]:
    return {
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.reply_tokens,
        "total_tokens": outcome.prompt_tokens + outcome.reply_tokens,
    }


def _find_outcome(completion: Completion) -> Outcome:
    """Return how a reply has ended.

    Raises:
        AssistantClosedError: Errata ends, and with it the reply; whoever has gone away hears nothing of it.
    """
    outcome = completion.answer.reply.outcome
    assert outcome is not None, "a reply that has ended tells how"
    if outcome.finish is FinishReason.CANCELLED:
        raise AssistantClosedError
    return outcome


def _explain_any(error: Exception) -> ApiError:
    if isinstance(error, AssistantError | FeedbackError):
        return explain(error)
    _log.error("a stream failed", exc_info=error)
    return fail()


def _to_event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told, separators=(',', ':'))}\n\n"
