"""The command line's way to an Errata that runs."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.api.operator_file import keep_operator_file, read_operator_file
from assistant.api.remote_admin import RemoteAdmin
from assistant.errors import RemoteError
from feedback_db import releases, runs
from feedback_db.api_keys import Scope
from feedback_db.training_records import Release, RunEvent, RunId
from tests.assistant.api.conftest import Served

pytestmark = pytest.mark.slow
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def admin(served: Served) -> Iterator[RemoteAdmin]:
    with RemoteAdmin(served.address, served.make_key(Scope.ADMIN)) as opened:
        yield opened


@pytest.fixture(scope="module")
def trained(served: Served, add_trained_release: Callable[..., Release]) -> Release:
    """A version whose run has told two things and ended."""
    db = served.site.errata.db
    release = add_trained_release(db, releases.find_release(db.read(), 0), "r1")
    told = [RunEvent(number=number, happened_at=NOW, phase="train", step=number, details={"steps": 2, "loss": 0.5}) for number in (1, 2)]
    with db.write() as tx:
        runs.append_events(tx, RunId("r1"), told)
    return release


def test_the_state_is_told(admin: RemoteAdmin) -> None:
    assert admin.is_reachable()
    assert admin.read_state()["served"] == 0


def test_a_run_without_corrections_is_answered_with_a_sentence(admin: RemoteAdmin) -> None:
    found = admin.train("because", publish=lambda what, share: None)
    assert (found["run"], found["live"]) == (None, 0)
    assert found["outcome"]


def test_a_run_is_followed_to_its_end(admin: RemoteAdmin, trained: Release) -> None:
    heard: list[tuple[str, float | None]] = []
    ended = admin._follow_run("r1", lambda what, share: heard.append((what, share)))
    assert heard == [("train: step 1 of 2, loss 0.5", 0.5), ("train: step 2 of 2, loss 0.5", 1.0)]
    assert (ended["state"], ended["version"]) == ("succeeded", trained.version)
    assert [run["id"] for run in admin.list_runs()] == ["r1"]


def test_a_version_is_promoted_and_taken_back_as_the_keys_own_deed(served: Served, admin: RemoteAdmin, trained: Release) -> None:
    assert admin.promote(0, "again") == "Version 0 goes live."
    assert admin.roll_back("worse") == "Version 0 goes live again."
    live = releases.find_live(served.site.errata.db.read())
    assert live is not None
    assert find_name(served, live[0].actor_id).startswith("API key ")
    assert next(one["version"] for one in admin.list_versions()) == trained.version


def find_name(served: Served, person_id: str | None) -> str:
    return str(served.site.errata.db.read().execute("SELECT name FROM people WHERE id = ?", [person_id]).fetchone()["name"])


def test_a_refusal_is_told_in_the_servers_words(admin: RemoteAdmin) -> None:
    with pytest.raises(RemoteError, match="a release"):
        admin.promote(99, "")
    assert admin.cancel("") == "No run is under way."


def test_who_is_not_there_or_not_let_in_is_told(served: Served) -> None:
    with RemoteAdmin("http://127.0.0.1:1", "x") as nobody:
        assert not nobody.is_reachable()
        with pytest.raises(RemoteError, match="Expected an answer"):
            nobody.read_state()
    with RemoteAdmin(served.address, served.make_key(Scope.CHAT)) as chat, pytest.raises(RemoteError, match="scope 'admin'"):
        chat.read_state()


def test_who_is_answered_by_something_else_is_told_so(served: Served) -> None:
    with RemoteAdmin(served.address, "é") as nobody, pytest.raises(RemoteError, match="Expected a key"):
        nobody.read_state()
    with RemoteAdmin(served.address, served.make_key(Scope.CHAT)) as chat, pytest.raises(RemoteError, match="403"):
        chat._follow_run("r1", lambda what, share: None)


def test_the_operators_token_opens_what_an_admin_may(served: Served) -> None:
    with RemoteAdmin(served.address, served.site.keys.operator_token) as operator:
        operator.promote(0, "by hand")
        operator.roll_back("")
    live = releases.find_live(served.site.errata.db.read())
    assert live is not None
    assert find_name(served, live[0].actor_id) == "command line"


def test_the_operators_file_is_its_owners_and_gone_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "operator.json").touch(0o666)
    with keep_operator_file(tmp_path, address="http://localhost:1", token="t"):
        assert (tmp_path / "operator.json").stat().st_mode & 0o777 == 0o600
        assert read_operator_file(tmp_path) == ("http://localhost:1", "t")
    assert read_operator_file(tmp_path) is None
    (tmp_path / "operator.json").write_text('{"address": "x", "token": "t", "pid": 999999999}')
    assert read_operator_file(tmp_path) is None, "whoever left it is gone"
    (tmp_path / "operator.json").write_text("[]")
    assert read_operator_file(tmp_path) is None
