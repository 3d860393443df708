"""The product over one data folder: what an admin chooses there holds at once and after a start."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.errors import SettingsError
from assistant.settings import Settings
from feedback_db import people, releases
from feedback_db.errors import HostileTextError
from feedback_db.records import PersonId, Role
from trainer.composition import Errata, open_errata

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ADA = PersonId("ada")


@pytest.fixture
def settings(tiny_base: Path, tmp_path: Path) -> Settings:
    return Settings(base=str(tiny_base), device="cpu", data_folder=tmp_path)


def add_admin(errata: Errata) -> None:
    with errata.db.write() as tx:
        people.add_account(tx, ADA, name="ada", role=Role.ADMIN, password_hash="x", now=NOW)


def read_live_message(errata: Errata) -> str | None:
    live = releases.find_live(errata.db.read())
    assert live is not None
    return live[1].system_message


def test_what_an_admin_chooses_holds_at_once_and_after_the_next_start(settings: Settings) -> None:
    with open_errata(settings) as errata:
        add_admin(errata)
        errata.change_settings({"system_message": "You are Bea.", "quiet_from": "22:00"}, actor=ADA, now=NOW)
        errata.change_settings({"schedule_least_examples": 7}, actor=ADA, now=NOW)
        assert read_live_message(errata) == "You are Bea."
        assert errata.hot_swap.sync_once(now=NOW) is not None
        assert errata.live.status().version == 1
    with open_errata(settings) as errata:
        assert read_live_message(errata) == "You are Bea."
        assert str(errata.settings.quiet_from) == "22:00:00"
        assert errata.settings.schedule_least_examples == 7
        assert len(releases.list_releases(errata.db.read())) == 2


def test_what_cannot_be_chosen_changes_nothing(settings: Settings) -> None:
    with open_errata(settings) as errata:
        add_admin(errata)
        with pytest.raises(SettingsError, match="time zone"):
            errata.change_settings({"system_message": "You are Bea.", "schedule_zone": "Mars"}, actor=ADA, now=NOW)
        with pytest.raises(HostileTextError):
            errata.change_settings({"system_message": "You are \u202eBea."}, actor=ADA, now=NOW)
        assert errata.settings == settings
        assert len(releases.list_releases(errata.db.read())) == 1
