"""All settings, read once from the environment (`ERRATA_…`); the only module that reads it. Frozen; defaults work."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from assistant.errors import SettingsError

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


class Settings(BaseSettings):
    """What an operator may set. `base` None is the bundled base; `device` None takes a GPU if there is one."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    base: Annotated[str, AfterValidator(expand_home)] | None = None
    device: str | None = None
    system_message: Annotated[str, Field(max_length=4000)] = "You are Ada, the support assistant of Acme."
    max_reply_tokens: Annotated[int, Field(ge=1, le=8192)] = 256


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
