"""What the model is shown: the one place that turns a conversation into messages, for serving and for training alike. Pure."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict

_MOST_CHARS_A_TOKEN = 32


class Message(TypedDict):
    """One chat message in the shape that chat templates take."""

    role: Literal["system", "user", "assistant"]
    content: str


def add_reference(passages: Sequence[str], question: str) -> str:
    """Put a reference block before a question; without passages the question stays as it is.

    Stored text goes here, into the user's message, and never into the system message.
    """
    if not passages:
        return question
    block = "\n".join(f"- {passage}" for passage in passages)
    return f"Reference:\n{block}\n\nQuestion: {question}"


def build_messages(
    system: str | None, history: Sequence[tuple[str, str]], user_message: str, passages: Sequence[str] = ()
) -> list[Message]:
    """Build the messages for one reply.

    Args:
        system: the system message, or None for none.
        history: earlier turns, oldest first, each a (user message, reply).
        user_message: what is to be answered.
        passages: the reference block for this question.
    """
    messages: list[Message] = [] if system is None else [{"role": "system", "content": system}]
    for asked, replied in history:
        messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": replied}]
    messages.append({"role": "user", "content": add_reference(passages, user_message)})
    return messages


def prompt_budget(context_tokens: int, max_reply_tokens: int) -> int:
    """Return how many tokens a prompt may have: what the reply leaves of the context, and half of it at least."""
    return context_tokens - min(max_reply_tokens, context_tokens // 2)


def trim_history(
    history: Sequence[tuple[str, str]], *, token_budget: int, count_tokens: Callable[[Sequence[tuple[str, str]]], int]
) -> list[tuple[str, str]]:
    """Drop whole turns, oldest first, until the rest fits into the budget (tokens); returns a new list, perhaps empty.

    However long the history is, a few counts of what could fit at all find where it is cut.
    """
    kept = _drop_hopeless(history, token_budget)
    fewest, most = 0, len(kept)  # turns to drop
    while fewest < most:
        tried = (fewest + most) // 2 if most < len(kept) or fewest else 0  # most often all of them fit
        if count_tokens(kept[tried:]) <= token_budget:
            most = tried
        else:
            fewest = tried + 1
    return kept[fewest:]


def _drop_hopeless(history: Sequence[tuple[str, str]], token_budget: int) -> list[tuple[str, str]]:
    """Return the newest turns that may fit: no tokenizer makes less than one token of a turn, or of so many characters."""
    kept: list[tuple[str, str]] = []
    room = token_budget * _MOST_CHARS_A_TOKEN
    for asked, replied in reversed(history):
        room -= len(asked) + len(replied)
        if room < 0 or len(kept) >= token_budget:
            break
        kept.append((asked, replied))
    return kept[::-1]
