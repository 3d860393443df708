"""From approved corrections to examples and snapshots: what is trained, which examples no longer hold, and what names them. Pure.

Whether an example may be trained at all is the memory's to say.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from assistant.prompt import Message, build_messages, trim_history
from feedback_db.training_records import ApprovedCorrection, Example, ExampleId, SnapshotId, Split, Variant
from trainer.contradictions import Statement, contradicts
from trainer.variants import Wordings, is_same_wording


def build_example_messages(
    approved: ApprovedCorrection,
    history: Sequence[tuple[str, str]],
    *,
    system_message: str | None,
    token_budget: int,
    count_tokens: Callable[[Sequence[tuple[str, str]]], int],
) -> list[Message]:
    """Build the messages as they were served: as many whole earlier turns as fit, and the question last.

    Args:
        approved: the correction.
        history: earlier turns, the oldest first; one without a reply was never shown to the model, and is left out here, too.
        system_message: what the release said first, None for nothing.
        token_budget: how long the prompt may be, in tokens.
        count_tokens: counts the tokens of the whole prompt with a history.
    """
    kept = trim_history([turn for turn in history if turn[1]], token_budget=token_budget, count_tokens=count_tokens)
    return build_messages(system_message, kept, approved.user_message)


def find_superseded(newer: Example, older: Sequence[Example]) -> list[ExampleId]:
    """Return which older examples answer the newer one's question, however it is worded, with facts that contradict it."""
    stated = read_statement(newer)
    return [one.id for one in older if one.id != newer.id and contradicts(stated, read_statement(one))]


def read_statement(example: Example) -> Statement:
    """Return what an example asks and states, and where it was asked."""
    *earlier, question = example.messages
    return Statement(
        question["content"],
        example.reply,
        before=tuple(message["content"] for message in earlier if message["role"] == "user"),
        told=" ".join(message["content"] for message in earlier if message["role"] == "system"),
    )


def read_messages(example: Example) -> list[Message]:
    """Return an example's messages in the shape that chat templates take; the memory admits no other roles."""
    return [{"role": one["role"], "content": one["content"]} for one in example.messages]  # type: ignore[typeddict-item]


def has_history(example: Example) -> bool:
    """Say whether something was said before the question."""
    return any(message["role"] == "assistant" for message in example.messages)


def put_under(example: Example, system_message: str | None) -> Example:
    """Return an example under the system message that is served now: what is trained is what is served."""
    said = [message for message in example.messages if message["role"] != "system"]
    system = [] if system_message is None else [{"role": "system", "content": system_message}]
    return replace(example, messages=(*system, *said))


def collect_wordings(example: Example, variants: Iterable[Variant]) -> Wordings:
    """Return an example's wordings by what each is for, for ever.

    The question as it was asked comes first and trains, and so does what differs from it in nothing that counts: to test it would be to
    test what was trained.
    """
    asked = example.messages[-1]["content"]
    parts: dict[Split, list[str]] = {split: [] for split in Split}
    for variant in variants:
        if variant.text != asked:
            parts[Split.TRAIN if is_same_wording(variant.text, asked) else variant.split].append(variant.text)
    return Wordings(train=(asked, *parts[Split.TRAIN]), stop=tuple(parts[Split.STOP]), test=tuple(parts[Split.TEST]))


def hash_example(example: Example, wordings: Wordings, *, salt: bytes) -> str:
    """Return a hash of what is trained of an example; without the salt nobody can guess a short text from it."""
    content = {"id": example.id, "messages": list(example.messages), "reply": example.reply, "wordings": asdict(wordings)}
    return hmac.new(salt, json.dumps(content, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def name_snapshot(hashes: Mapping[ExampleId, str]) -> SnapshotId:
    """Return the id of a set of examples: the hash of its content, whatever the order."""
    return SnapshotId(hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()[:32])
