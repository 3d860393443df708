"""What a program asks for in OpenAI's words, read into what it means here. Pure.

A parameter that would change the reply and cannot is refused unless it says what is done anyway; one that changes nothing here is
ignored; an unknown one is refused, for nobody knows which it is. Tools that may be called are never called; one that must be is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from assistant.api.errors import ApiError
from feedback_db.told_turns import Context

MODEL = "support"
MAX_MESSAGE_CHARS = 32_000
_MAX_ID_CHARS = 200
# What may be said of a parameter that is not supported, because it is so anyway.
NEUTRAL: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "response_format": ({"type": "text"},),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "echo": (False,),
}
IGNORED = frozenset(
    {
        "functions",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "service_tier",
        "store",
        "tools",
        "verbosity",
    }
)


class ContentPart(BaseModel):
    """A part of a message; only text is understood."""

    model_config = ConfigDict(extra="ignore")

    type: str
    text: str = ""


class ChatMessage(BaseModel):
    """A message; a `developer` is a system."""

    model_config = ConfigDict(extra="ignore")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class StreamOptions(BaseModel):
    """How a stream is told."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a reply, as OpenAI's clients send it; what else there is, and what is refused, is in docs/plugin.md."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={"examples": [{"model": "support", "messages": [{"role": "user", "content": "How long is the warranty?"}]}]},
    )

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    errata: dict[str, Any] | None = None  # the same as `metadata`, where a host keeps that for itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked for: `version` None is the live one; `sampling` holds what the program wants otherwise than the release has it."""

    version: int | None
    message: str
    user: str
    context: Context
    sampling: dict[str, float | int]
    stop: tuple[str, ...]
    is_streamed: bool
    tells_usage: bool


def read_request(request: CompletionRequest) -> Asked:
    """Return what a request asks for.

    Raises:
        ApiError: a parameter is not supported or unknown, there is no such model, or the messages cannot be answered.
    """
    _check_parameters(request.model_extra or {})
    system, history, message = _read_messages(request.messages)
    told = _read_metadata({**(request.metadata or {}), **(request.errata or {})})
    return Asked(
        version=read_model(request.model),
        message=message,
        user=read_id(request.user or request.safety_identifier or told.get("user"), "user") or "",
        context=Context(
            chat_id=read_id(told.get("chat_id"), "metadata.chat_id"),
            message_id=read_id(told.get("message_id"), "metadata.message_id"),
            history=tuple(history),
            system=system,
            consent=_read_consent(told.get("consent")),
            wording=str(told.get("consent_wording") or "told by the program")[:_MAX_ID_CHARS],
        ),
        sampling=_read_sampling(request),
        stop=tuple(one for one in ([request.stop] if isinstance(request.stop, str) else request.stop or []) if one),
        is_streamed=bool(request.stream),
        tells_usage=request.stream_options is not None and request.stream_options.include_usage,
    )


def name_model(version: int) -> str:
    """Return the name that means one version for ever."""
    return f"{MODEL}@{version}"


def read_model(name: str) -> int | None:
    """Return the version that a model's name means, None for the live one.

    Raises:
        ApiError: there is no such model.
    """
    if name == MODEL:
        return None
    begins, _, version = name.partition("@")
    if begins != MODEL or not version.isdecimal() or len(version) > 9:
        message = f"Expected the model '{MODEL}', or '{MODEL}@7' for version 7. Found '{name}'. GET /v1/models lists them."
        raise ApiError(404, message, code="model_not_found", param="model")
    return int(version)


def _check_parameters(extra: dict[str, Any]) -> None:
    for name, value in extra.items():
        if value is None or name in IGNORED or any(value == one for one in NEUTRAL.get(name, ())):
            continue
        if name in NEUTRAL:
            message = f"Expected no '{name}': it is not supported. Leave it out."
        else:
            message = f"Expected a parameter that is known. Found '{name}'. Leave it out."
        raise ApiError(400, message, code="unsupported_parameter", param=name)


def _read_messages(messages: Sequence[ChatMessage]) -> tuple[str | None, list[tuple[str, str]], str]:
    """Return the system message, what was said before as pairs, and what is to be answered.

    Several messages of one side after one another are one; a greeting before the first question is left out.
    """
    told = [(_ROLES.get(one.role, one.role), _read_content(one, place)) for place, one in enumerate(messages)]
    system = "\n\n".join(text for role, text in told if role == "system" and text)
    joined: list[tuple[str, str]] = []
    for role, text in told:
        if role == "system" or not text:
            continue
        if joined and joined[-1][0] == role:
            joined[-1] = (role, f"{joined[-1][1]}\n\n{text}")
        elif joined or role == "user":
            joined.append((role, text))
    if not joined or joined[-1][0] != "user":
        message = "Expected a user's message at the end, to answer it. Found none. Put what is asked last."
        raise ApiError(400, message, code="invalid_value", param="messages")
    *before, (_, asked) = joined
    texts = [text for _, text in before]
    return system or None, list(zip(texts[::2], texts[1::2], strict=True)), asked


_ROLES = {"developer": "system"}


def _read_content(message: ChatMessage, place: int) -> str:
    param = f"messages[{place}]"
    if message.role in {"tool", "function"}:
        raise ApiError(400, f"Expected no message of a {message.role}: tools are not supported.", code="unsupported_value", param=param)
    if not isinstance(message.content, list):
        return (message.content or "").strip()
    strange = next((part.type for part in message.content if part.type != "text"), None)
    if strange is not None:
        sentence = f"Expected text alone. Found a part of type '{strange}'. Leave it out."
        raise ApiError(400, sentence, code="unsupported_value", param=f"{param}.content")
    return "\n".join(part.text for part in message.content).strip()


def _read_sampling(request: CompletionRequest) -> dict[str, float | int]:
    wanted = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "repetition_penalty": request.repetition_penalty,
        "max_tokens": request.max_completion_tokens or request.max_tokens,
        "seed": request.seed,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _read_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what is understood of the metadata; a program may send more, for itself."""
    known = ("chat_id", "message_id", "consent", "consent_wording", "user")
    return {name: metadata[name] for name in known if metadata.get(name) is not None}


def read_id(value: object, param: str) -> str | None:
    """Return a program's name of something without the blanks around it, None for none.

    Raises:
        ApiError: it is no printable text, or too long.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _MAX_ID_CHARS or not value.isprintable():
        sentence = f"Expected a printable text of at most {_MAX_ID_CHARS} characters as {param}."
        raise ApiError(400, sentence, code="invalid_value", param=param)
    return value.strip() or None


def _read_consent(value: object) -> bool | None:
    """Return what is said on training: true or false, or the same as a text, for clients whose metadata are texts."""
    known = {None: None, True: True, False: False, "true": True, "false": False}
    if isinstance(value, str | bool | None) and value in known:
        return known[value]
    raise ApiError(400, f"Expected true or false as metadata.consent. Found {value!r:.40}.", code="invalid_value", param="metadata.consent")
