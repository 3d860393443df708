"""What an admin does by hand: changes settings, promotes, rolls back, backs up, looks for damage. Only forwards to those who know how."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, time
from typing import Any

import psutil

from assistant.engine.live import Status
from assistant.settings import CHANGEABLE
from feedback_db import releases
from feedback_db.database import Transaction, find_damage
from feedback_db.records import PersonId
from trainer.composition import Errata
from trainer.memory import back_up, find_audit_fault
from trainer.supervision import promotion


class Operations:
    """What the admin page has done."""

    def __init__(self, errata: Errata) -> None:
        self._errata, self._db, self._audit = errata, errata.db, errata.audit

    def read_settings(self) -> dict[str, Any]:
        """Return by their names the settings that may be chosen, as they are now; times are "HH:MM", "" for none."""
        found = {name: getattr(self._errata.settings, name) for name in CHANGEABLE}
        return {name: f"{value:%H:%M}" if isinstance(value, time) else "" if value is None else value for name, value in found.items()}

    def change_settings(self, chosen: Mapping[str, Any], *, actor: PersonId, now: datetime) -> str:
        """Go on by what an admin chose; return a sentence that says what came of it. An empty time is none.

        Raises:
            SettingsError: a value is out of range.
            HostileTextError: the system message holds characters that nobody sees.
        """
        values = {name: None if name.startswith("quiet") and value == "" else value for name, value in chosen.items()}
        self._errata.change_settings(values, actor=actor, now=now)
        live = releases.find_live(self._db.read())
        waits = live is not None and live[1].system_message != self._errata.settings.system_message
        return "Saved." + (" The system message is used from the next trained version on." if waits else "")

    def promote(self, tx: Transaction, version: int, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that a release be live; return a sentence that says what comes of it.

        Raises:
            NotFoundError, ReasonNeededError: there is no such release, or the gate did not promote it and no reason is given.
        """
        promotion.promote(tx, self._audit, version, actor=actor, reason=reason, now=now)
        return f"Version {version} goes live."

    def roll_back(self, tx: Transaction, *, actor: PersonId, reason: str, now: datetime) -> str:
        """Wish that what was live before be live again; return a sentence that says what comes of it.

        Raises:
            NothingToRollBackError: nothing was live before.
        """
        return f"Version {promotion.roll_back(tx, self._audit, actor=actor, reason=reason, now=now).version} goes live again."

    def back_up(self) -> str:
        """Copy what is needed to go on elsewhere; return a sentence that says where to.

        Raises:
            FeedbackError: it cannot be written.
        """
        folder = self._errata.settings.data_folder / "backups" / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
        missing = back_up(self._errata.settings, self._db, folder)
        left_out = f" Left out, for their adapters are missing: version {', '.join(map(str, missing))}." if missing else ""
        return f"Backed up to {folder.name} in the folder of backups.{left_out}"

    def find_audit_fault(self) -> str | None:
        """Say where the audit's chain does not hold, None if it does."""
        return next(iter(find_audit_fault(self._errata.settings, self._db.read())), None)

    def find_damage(self) -> tuple[str, ...]:
        """Return what is wrong with the database, nothing if it is sound."""
        return tuple(find_damage(self._db.read()))

    def read_free_disk(self) -> int:
        """Return how many bytes the data folder's disk has left."""
        return shutil.disk_usage(self._errata.settings.data_folder).free

    def read_engine(self) -> Status:
        """Return what the engine serves, and how busy it is."""
        return self._errata.live.status()

    def read_free_memory(self) -> int:
        """Return how many bytes of memory are free."""
        return int(psutil.virtual_memory().available)
