"""Renders messages into what a base reads. Deliberately the only place where a chat template is applied.

What somebody typed is text: a special token in a message's content is never obeyed. Knows nothing of models or replies.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from assistant.errors import TemplateRefusedError
from assistant.prompt import Message


def render_prompt(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Render messages, up to where the reply begins, into token ids.

    Raises:
        TemplateRefusedError: the chat template cannot show these messages.
    """
    ids: list[int] = tokenizer(render_text(tokenizer, messages), add_special_tokens=False)["input_ids"]
    return ids


def count_prompt_tokens(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> int:
    """Return the length of the rendered prompt in tokens.

    Raises:
        TemplateRefusedError: the chat template cannot show these messages.
    """
    return len(render_prompt(tokenizer, messages))


def render_text(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
    """Render messages by the tokenizer's chat template, special tokens in their contents neutralised.

    A template that knows no system message gets it as the beginning of the first user message. Thinking is off.

    Raises:
        TemplateRefusedError: the chat template cannot show these messages.
    """
    plain = [_neutralise(tokenizer, message) for message in messages]
    try:
        return _apply_template(tokenizer, plain, add_generation_prompt=add_generation_prompt)
    except TemplateError as error:
        if plain[0]["role"] != "system":
            raise TemplateRefusedError(str(error)) from error
    try:
        return _apply_template(tokenizer, _fold_system(plain), add_generation_prompt=add_generation_prompt)
    except TemplateError as error:
        raise TemplateRefusedError(str(error)) from error


def hash_template(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return a hash of the chat template: two bases with the same one show a conversation alike."""
    return hashlib.sha256(str(tokenizer.chat_template).encode()).hexdigest()[:16]


def neutralise_special_tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Break every special token in a text by a blank, so that the tokenizer takes it for plain text."""
    pattern = _match_any(_list_control_tokens(tokenizer))
    while (broken := pattern.sub(_break, text)) != text:  # breaking a token can lay bare another one inside it
        text = broken
    return text


def _neutralise(tokenizer: PreTrainedTokenizerBase, message: Message) -> Message:
    return {"role": message["role"], "content": neutralise_special_tokens(tokenizer, message["content"])}


def _apply_template(tokenizer: PreTrainedTokenizerBase, messages: list[Message], *, add_generation_prompt: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt, enable_thinking=False))


def _fold_system(messages: list[Message]) -> list[Message]:
    """Put the leading system message before the first user message's content."""
    system, *rest = messages
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [{"role": "user", "content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]


def _list_control_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """Name the tokens that text could be mistaken for: all special ones, and added ones that look like markup, as `<think>` does.

    Added tokens that are blanks, words or punctuation (Gemma's line breaks) are ordinary text and stay as they are.
    """
    marked = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special or _is_markup(str(token))}
    return tuple(sorted(token for token in marked | set(tokenizer.all_special_tokens) if token.strip()))


def _is_markup(token: str) -> bool:
    return any(char.isalpha() for char in token) and any(not char.isalnum() and not char.isspace() for char in token)


@lru_cache(maxsize=16)
def _match_any(tokens: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds any of the tokens, the longest first; in any case, as some tokenizers fold it."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)


def _break(match: re.Match[str]) -> str:
    """Insert a blank behind the first visible character; a token of one character gives way to a blank."""
    token = match[0]
    inside = len(token) - len(token.lstrip()) + 1
    rest = token[inside:]
    return f"{token[:inside]} {rest}" if rest.strip() else " "
