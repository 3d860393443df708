"""All settings, read once from the environment (`ERRATA_…`); the only module that reads it. Frozen; defaults work."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from assistant.errors import SettingsError
from feedback_db.errors import RecipeError
from feedback_db.recipe import read_recipe

BUNDLED_BASE = Path(__file__).parent / "support_base"
_PREFIX = "ERRATA_"


def expand_home(base: str) -> str:
    """Return a base's name with a leading `~` expanded; one without, or of an unknown user, stays as it is."""
    if not base.startswith("~"):
        return base
    try:
        return str(Path(base).expanduser())
    except RuntimeError:
        return base


def check_cron(text: str) -> str:
    """Return a cron expression that can be followed.

    Raises:
        ValueError: it is none, or no day ever fits it.
    """
    if CronTrigger.from_crontab(text, timezone=UTC).get_next_fire_time(None, datetime.now(UTC)) is None:
        raise ValueError("expected a moment that comes, found one that never does")
    return text


def check_zone(name: str) -> str:
    """Return the name of a time zone that exists.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError("expected the name of a time zone, such as Europe/Berlin") from error
    return name


def check_recipe(text: str) -> str:
    """Return a recipe's JSON if it can be used.

    Raises:
        ValueError: it cannot; the sentence says why.
    """
    try:
        read_recipe(text)
    except RecipeError as error:
        raise ValueError(str(error)) from error
    return text


_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
# What an admin may choose on the page; everything else is for whoever runs the machine.
CHANGEABLE = (
    "system_message",
    "schedule_cron",
    "schedule_zone",
    "schedule_least_examples",
    "schedule_cool_down_minutes",
    "quiet_from",
    "quiet_until",
)


class Settings(BaseSettings):
    """What an operator may set. `base` None is the bundled base; `device` None takes a GPU if there is one.

    The pages are served at `host` and `port`, and found by the names `public_hosts` (JSON, a list) where a proxy stands in front; what a
    proxy at one of `trusted_proxies` tells of a browser's address is believed, and nobody else's word. `anonymous_chat` lets visitors chat
    without an account, None where only this machine can.
    `title` stands on top of the pages; `example_questions` (JSON, a list) are offered to begin with.
    `data_folder` holds the database, the runs and their adapters. `approvals_required` people must approve a correction. `schedule_…`
    says when the schedule looks (cron), and what it waits for; between `quiet_from` and `quiet_until` no run starts by itself.
    `replies_at_once` are written side by side, and `replies_waiting` more may wait; `loaded_adapters` of versions are kept in memory, and
    `kept_prefix_mb` of what was read of conversations, for their next turns.
    `recipe` is the JSON of what a run should do otherwise than by default.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    base: Annotated[str, AfterValidator(expand_home)] | None = None
    device: str | None = None
    system_message: Annotated[str, Field(max_length=4000)] = "You are Ada, the support assistant of Acme."
    max_reply_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    data_folder: Path = Path("data")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 7860
    public_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    anonymous_chat: bool | None = None
    title: Annotated[str, Field(min_length=1, max_length=60)] = "Support assistant"
    example_questions: Annotated[tuple[str, ...], Field(max_length=6)] = (
        "How long do I have to send something back?",
        "How do I change my delivery address?",
        "My discount code does not work.",
        "Which warranty does a kettle have?",
    )
    approvals_required: Annotated[int, Field(ge=1, le=2)] = 1
    schedule_cron: Annotated[str, AfterValidator(check_cron)] = "0 2 * * *"
    schedule_zone: Annotated[str, AfterValidator(check_zone)] = "UTC"
    schedule_least_examples: Annotated[int, Field(ge=1)] = 1
    schedule_cool_down_minutes: Annotated[int, Field(ge=0)] = 60
    quiet_from: time | None = None
    quiet_until: time | None = None
    replies_at_once: Annotated[int, Field(ge=1, le=256)] = 16
    replies_waiting: Annotated[int, Field(ge=0, le=10_000)] = 64
    loaded_adapters: Annotated[int, Field(ge=2, le=64)] = 6
    kept_prefix_mb: Annotated[int, Field(ge=0)] = 256
    recipe: Annotated[str, AfterValidator(check_recipe)] = "{}"

    @property
    def known_hosts(self) -> frozenset[str] | None:
        """Return the names by which a browser may find the pages, None where any will do.

        Who serves this machine alone must not be found by a stranger's name that leads here.
        """
        if not self.public_hosts and self.host not in _LOOPBACK:
            return None
        return _LOOPBACK | {name.lower() for name in self.public_hosts}

    @property
    def welcomes_visitors(self) -> bool:
        """Say whether people may chat without an account."""
        return self.host in _LOOPBACK if self.anonymous_chat is None else self.anonymous_chat

    def choose(self, chosen: Mapping[str, Any]) -> "Settings":
        """Return these settings with what an admin has chosen in their place.

        Raises:
            SettingsError: something cannot be chosen, or a value is out of range; names each.
        """
        problems = [f"Expected one of {', '.join(CHANGEABLE)}, found {name}." for name in sorted(set(chosen) - set(CHANGEABLE))]
        try:
            found = Settings(**{**self.model_dump(), **chosen})
        except ValidationError as error:
            problems += [f"{fault['loc'][0]}: {fault['msg']}, found {fault['input']!r}." for fault in error.errors()]
        if problems:
            raise SettingsError(problems)
        return found


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable `ERRATA_…` is unknown, or a value is out of range; names each.
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)
    problems = [f"Expected one of {', '.join(sorted(known))}, found {name}; unset or rename it." for name in unknown]
    try:
        settings = Settings()
    except ValidationError as error:
        problems += [f"{_PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}, found {fault['input']!r}." for fault in error.errors()]
    if problems:
        raise SettingsError(problems)
    return settings
