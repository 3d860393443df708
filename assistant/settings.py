"""All settings, read once from the environment (`ERRATA_…`); the only module that reads it. Frozen; defaults work."""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

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


def read_list(value: object) -> object:
    """Return what JSON of a list means; anything but text stays as it is.

    Raises:
        ValueError: the text is no JSON.
    """
    return json.loads(value) if isinstance(value, str) else value


_Texts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)]
_A_TIME = "a time of day, such as 08:00"
_MOST_FOUND_CHARS = 60
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
    `replies_at_once` are written side by side, and `replies_waiting` more may wait, of one
    program `replies_a_key`; `loaded_adapters` of versions are kept in memory, and
    `kept_prefix_mb` of what was read of conversations, for their next turns.
    A program's own system message is appended to ours, replaced by ours, or refused (`client_system_message`); pages of `api_origins` may
    use the API from a browser. The verbs of the command line ask the Errata at `server` with `api_key`, where one is named.
    `recipe` is the JSON of what a run should do otherwise than by default.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    base: Annotated[str, AfterValidator(expand_home)] | None = Field(default=None, description="a folder, or a model's name on the Hub")
    device: str | None = Field(default=None, description="cpu, cuda or cuda:1")
    system_message: str = Field(
        default="You are Ada, the support assistant of Acme.", max_length=4000, description="at most 4000 characters"
    )
    max_reply_tokens: int = Field(default=256, ge=1, le=8192, description="a whole number from 1 to 8192")
    data_folder: Path = Field(default=Path("data"), description="a folder")
    host: str = Field(default="127.0.0.1", description="an address of this machine")
    port: int = Field(default=7860, ge=1, le=65535, description="a whole number from 1 to 65535")
    public_hosts: _Texts = Field(default=(), description='a JSON list of names, such as ["support.example"]')
    trusted_proxies: _Texts = Field(default=(), description='a JSON list of addresses, such as ["10.0.0.7"]')
    anonymous_chat: bool | None = Field(default=None, description="true or false")
    title: str = Field(default="Support assistant", min_length=1, max_length=60, description="1 to 60 characters")
    example_questions: _Texts = Field(
        default=(
            "How long do I have to send something back?",
            "How do I change my delivery address?",
            "My discount code does not work.",
            "Which warranty does a kettle have?",
        ),
        max_length=6,
        description='a JSON list of at most 6 questions, such as ["How long does delivery take?"]',
    )
    approvals_required: int = Field(default=1, ge=1, le=2, description="1 or 2")
    schedule_cron: Annotated[str, AfterValidator(check_cron)] = Field(
        default="0 2 * * *", description="minute, hour, day, month, weekday as in a crontab, such as 0 2 * * *, that come true some day"
    )
    schedule_zone: Annotated[str, AfterValidator(check_zone)] = Field(
        default="UTC", description="the name of a time zone, such as Europe/Berlin"
    )
    schedule_least_examples: int = Field(default=1, ge=1, description="a whole number from 1 on")
    schedule_cool_down_minutes: int = Field(default=60, ge=0, description="a whole number from 0 on")
    quiet_from: time | None = Field(default=None, description=_A_TIME)
    quiet_until: time | None = Field(default=None, description=_A_TIME)
    replies_at_once: int = Field(default=16, ge=1, le=256, description="a whole number from 1 to 256")
    replies_waiting: int = Field(default=64, ge=0, le=10_000, description="a whole number from 0 to 10000")
    replies_a_key: int = Field(default=32, ge=1, le=10_000, description="a whole number from 1 to 10000")
    loaded_adapters: int = Field(default=6, ge=2, le=64, description="a whole number from 2 to 64")
    kept_prefix_mb: int = Field(default=256, ge=0, description="a whole number from 0 on")
    client_system_message: Literal["append", "replace", "refuse"] = Field(default="append", description="append, replace or refuse")
    api_origins: _Texts = Field(default=(), description='a JSON list of origins, such as ["https://shop.example"]')
    server: str | None = Field(default=None, description="the address of an Errata, such as https://support.example")
    api_key: str = Field(default="", repr=False, description="a key for it, with the scope admin")
    recipe: Annotated[str, AfterValidator(check_recipe)] = Field(default="{}", description='a JSON object, such as {"epochs": 12}')

    @property
    def known_hosts(self) -> frozenset[str] | None:
        """Return the names by which a browser may find the pages, None where any will do.

        Who serves this machine alone must not be found by a stranger's name that leads here.
        """
        if not self.public_hosts and self.host not in _LOOPBACK:
            return None
        return _LOOPBACK | {name.lower() for name in self.public_hosts}

    @property
    def is_alone(self) -> bool:
        """Say whether nothing stands in front of the pages, as far as is known here, and only this machine reaches them."""
        return self.host in _LOOPBACK and not self.public_hosts and not self.trusted_proxies

    @property
    def welcomes_visitors(self) -> bool:
        """Say whether people may chat without an account."""
        return self.host in _LOOPBACK if self.anonymous_chat is None else self.anonymous_chat

    def choose(self, chosen: Mapping[str, Any]) -> "Settings":
        """Return these settings with what an admin has chosen in their place.

        Raises:
            SettingsError: something cannot be chosen, or a value is out of range; names each.
        """
        problems = [f"{name}: expected one of {', '.join(CHANGEABLE)}." for name in sorted(set(chosen) - set(CHANGEABLE))]
        try:
            found = Settings(**{**self.model_dump(), **chosen})
        except ValidationError as error:
            problems += _tell_faults(error)
        if problems:
            raise SettingsError(problems)
        return found


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable `ERRATA_…` is unknown, or a value cannot be used; names each.
    """
    known = {f"{_PREFIX}{name.upper()}" for name in Settings.model_fields}
    unknown = sorted(name for name in os.environ if name.startswith(_PREFIX) and name not in known)
    problems = [f"{name}: expected one of {', '.join(sorted(known))}." for name in unknown]
    try:
        settings = Settings()
    except ValidationError as error:
        problems += _tell_faults(error, lambda name: f"{_PREFIX}{name.upper()}")
    if problems:
        raise SettingsError(problems)
    return settings


def _tell_faults(error: ValidationError, call: Callable[[str], str] = str) -> list[str]:
    """Return what is wrong in words of ours, a sentence for each setting; `call` is how a setting is called."""
    found = {str(fault["loc"][0]): fault for fault in error.errors()}
    return [f"{call(name)}: expected {Settings.model_fields[name].description}, {_tell_found(fault)}." for name, fault in found.items()]


def _tell_found(fault: ErrorDetails) -> str:
    told = repr(fault["input"])
    shown = told if len(told) <= _MOST_FOUND_CHARS else f"{told[:_MOST_FOUND_CHARS]}…"
    refused = fault.get("ctx", {}).get("error")
    why = refused.__cause__ if isinstance(refused, ValueError) else None
    return f"found {shown}" + (f" ({'; '.join(why.problems)})" if isinstance(why, RecipeError) else "")
