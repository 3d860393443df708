"""What can go wrong while serving, each as a sentence: what was expected, what was found, what to do next."""

from pathlib import Path


class AssistantError(Exception):
    """Base class of the assistant's errors."""


class BaseNotFoundError(AssistantError):
    """There is no such base: no folder, and no model of this name that could be fetched."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"Expected a base model at '{name}': a local folder with a config.json, or the name of a model on the Hugging Face Hub. "
            f"Found neither ({why}). Check the spelling, or the connection if the model is still to be fetched."
        )


class BaseCorruptError(AssistantError):
    """A base's files are there but cannot be what was saved."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"Expected whole weights and a tokenizer for the base '{name}'. Found damage: {why}. "
            "Restore the folder (for the bundled base: `git checkout -- assistant/support_base`), or fetch the model again."
        )


class BaseUnsupportedError(AssistantError):
    """A base is whole but is no causal language model that can be quantised and served."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"Expected a causal language model with a chat template as the base '{name}'. "
            f"Found that it is not one ({why}). Choose another base."
        )


class NoDiskSpaceError(AssistantError):
    """The disk is full while a base is fetched or unpacked."""

    def __init__(self, place: Path | str) -> None:
        super().__init__(
            f"Expected free disk space at '{place}' for a base model. "
            "Found the disk full. Free some space, or set HF_HOME to a larger disk."
        )


class ContextFullError(AssistantError):
    """A prompt fills the base's whole context."""

    def __init__(self, context_tokens: int, prompt_tokens: int) -> None:
        super().__init__(
            f"Expected a prompt of fewer than {context_tokens} tokens, the base's context. Found {prompt_tokens}. Shorten the message."
        )


class SettingsError(AssistantError):
    """A setting has an unknown name or a value out of range."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The settings cannot be used. " + " ".join(problems))
