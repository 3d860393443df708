"""What can go wrong while serving, each as a sentence: what was expected, what was found, what to do next."""

from datetime import timedelta
from pathlib import Path

from assistant.plain_text import tell_count, tell_wait


class AssistantError(Exception):
    """Base class of the assistant's errors."""


class BaseNotFoundError(AssistantError):
    """There is no such base: no folder, and no model of this name that could be fetched."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"Expected a base model at '{name}': a local folder with a config.json, or the name of a model on the Hugging Face Hub. "
            f"Found neither ({why}). Check the spelling, or the connection if the model is still to be fetched."
        )


class BundledBaseMissingError(AssistantError):
    """The base that ships with the project is not in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"Expected the bundled base at '{folder}'. Found no config.json there. "
            "Make it with `python -m trainer.support_base build` and put build/support_base/model there, "
            "or choose another base with --base or ERRATA_BASE."
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


class DeviceError(AssistantError):
    """There is no such device, or torch was built without it."""

    def __init__(self, device: str, why: str) -> None:
        super().__init__(
            f"Expected a device that torch can compute on, such as cpu, cuda or cuda:1. Found '{device}' ({why}). "
            "Set ERRATA_DEVICE to cpu, or unset it to take a GPU if there is one."
        )


class NoMemoryError(AssistantError):
    """The device's memory is exhausted while a base is loaded or a reply generated."""

    def __init__(self, task: str, device: str) -> None:
        super().__init__(
            f"Expected enough memory on {device} for {task}. Found too little left. "
            "End other programs that use it, choose a smaller base, or set ERRATA_DEVICE to another device."
        )


class TemplateRefusedError(AssistantError):
    """A base's chat template cannot show a conversation."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected the base's chat template to show the conversation. Found that it refuses ({why}). Choose another base.")


class GenerationError(AssistantError):
    """The base failed in the middle of a reply."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Expected the base to generate a reply. Found that it failed ({why}). Ask again, or choose another base.")


class SamplingError(AssistantError):
    """Nobody can choose tokens in such a way."""

    def __init__(self, name: str, expected: str, found: object) -> None:
        super().__init__(f"Expected {expected} as the {name} of a reply. Found {found!a:.60}. Change it, or leave it out.")


class ContextFullError(AssistantError):
    """A prompt fills the base's whole context."""

    def __init__(self, context_tokens: int, prompt_tokens: int) -> None:
        super().__init__(
            f"Expected a prompt of fewer than {context_tokens} tokens, the base's context. Found {prompt_tokens}. Shorten the message."
        )


class SettingsError(AssistantError):
    """A setting has an unknown name or a value out of range."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(["These settings cannot be used. Change them, or leave them out to take the defaults.", *problems]))


class ReleaseRefusedError(AssistantError):
    """Base class of what keeps a release from being served however often it is tried."""


class ReleaseMismatchError(ReleaseRefusedError):
    """A release is of another base, or its adapter is another one; None is no adapter."""

    def __init__(self, version: int, what: str, expected: str | None, found: str | None) -> None:
        super().__init__(
            f"Expected the {what} of release {version}: {expected or 'none'}. Found {found or 'none'}. "
            "Start Errata with the base of that release, restore its adapter from a backup, or choose another release."
        )


class AdapterCorruptError(ReleaseRefusedError):
    """An adapter's files are not what was trained."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"Expected a whole adapter in '{folder}'. Found damage: {why}. Restore the folder from a backup, or train again.")


class AdapterRefusedError(ReleaseRefusedError):
    """An adapter is whole and cannot be served on this base."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"Expected an adapter in '{folder}' that this base can serve. Found that {why}. Train again, or choose another release."
        )


class AdapterUnreadableError(AssistantError):
    """An adapter's files cannot be read now; nothing says that they are damaged."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"Expected to read the adapter in '{folder}'. Found: {why}. Mend that; it is tried again by itself.")


class NothingServedError(AssistantError):
    """A reply was asked for before any release was swapped in."""

    def __init__(self) -> None:
        super().__init__(
            "Expected a release that is served. Found none yet. Wait a moment; if it stays so, see why the deployed one was refused."
        )


class ReleaseNotLoadedError(AssistantError):
    """A reply was asked for from a release that is not loaded."""

    def __init__(self, version: int, loaded: list[int]) -> None:
        shown = ", ".join(map(str, loaded))
        super().__init__(f"Expected one of the loaded releases {shown}. Found {version}. Ask without a version to get the live one.")


class QueueFullError(AssistantError):
    """Too many replies wait; `wait_s` is when to try again."""

    def __init__(self, replies: int, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__(
            f"Expected a place in the queue. Found {replies} replies before yours. Try again in {tell_count(wait_s, 'second')}."
        )


class AlreadyAnsweringError(AssistantError):
    """A conversation has an answer under way."""

    def __init__(self) -> None:
        super().__init__("Expected one message at a time. Found an answer under way in this conversation. Wait for its end, or stop it.")


class TooManyAnswersError(AssistantError):
    """A person has as many answers under way as one may have."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Expected at most {most} answers to you at once. Found that many under way. Wait for one to end, or stop it.")


class AssistantClosedError(AssistantError):
    """The assistant is shutting down."""

    def __init__(self) -> None:
        super().__init__("Expected an assistant that serves. Found that it is shutting down. Start it again.")


class AddressTakenError(AssistantError):
    """The pages cannot be served at an address."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(
            f"Expected to serve at {host}, port {port}. Found: {why}. End the program there, or set ERRATA_HOST or ERRATA_PORT."
        )


class PasswordTooShortError(AssistantError):
    """A password is too easily guessed."""

    def __init__(self, least: int) -> None:
        super().__init__(f"Expected a password of at least {least} characters. Found a shorter one. Choose another.")


class PasswordTooLongError(AssistantError):
    """A password is longer than one that is hashed in good time."""

    def __init__(self, most: int) -> None:
        super().__init__(f"Expected a password of at most {most} characters. Found a longer one. Choose a shorter one.")


class SignInFailedError(AssistantError):
    """Name and password do not belong together; which of them is wrong is not told."""

    def __init__(self) -> None:
        super().__init__(
            "Expected the name and the password of an account. Found that they do not fit. Try again, or ask an admin for help."
        )


class WrongPasswordError(AssistantError):
    """Somebody signed in wants another password and does not know the present one."""

    def __init__(self) -> None:
        super().__init__("Expected your present password. Found another one; nothing was changed. Try again, or ask an admin to reset it.")


class PasswordLinkOverError(AssistantError):
    """A link to choose a password chooses none; why is not told."""

    def __init__(self) -> None:
        super().__init__(
            "Expected a link to choose a password that is still good. Found one that was used, replaced or is too old, or an account "
            "that is disabled. Ask an admin for another link."
        )


class TooManyAttemptsError(AssistantError):
    """Somebody has tried to sign in too often; `wait_s` is when to try again."""

    def __init__(self, wait: timedelta) -> None:
        self.wait_s = int(wait.total_seconds()) + 1
        super().__init__(f"Expected at most 5 failed attempts in 15 minutes. Found more. Try again in {tell_wait(wait)}.")


class NotPermittedError(AssistantError):
    """Somebody asks for what his role does not allow, or is not signed in any more."""

    def __init__(self, role: str) -> None:
        super().__init__(
            f"Expected somebody signed in with the role {role}. Found that you are not. Sign in, or ask an admin for the role."
        )


class SetUpOverError(AssistantError):
    """The first account can only be made once, and only by the link that the start prints."""

    def __init__(self) -> None:
        super().__init__(
            "Expected the set-up link that the start of the program printed, and no account yet. Found another link, or an account. "
            "Sign in, or make an account with `python app.py create-user` while the program is stopped."
        )


class RemoteError(AssistantError):
    """An Errata elsewhere cannot be reached, or refuses."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"Expected an answer of Errata at {address}. Found: {why}")
