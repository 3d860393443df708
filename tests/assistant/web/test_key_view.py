import json
import shlex
from datetime import UTC, datetime
from html import unescape

import pytest

from assistant.web.key_view import OPENS, render_new_key
from feedback_db.api_keys import ApiKey, Scope
from feedback_db.records import ApiKeyId, PersonId

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def key_with(*scopes: Scope) -> ApiKey:
    return ApiKey(
        id=ApiKeyId("k1"),
        name="shop",
        hint="wxyz",
        scopes=frozenset(scopes),
        made_by=PersonId("ada"),
        made_at=NOW,
        used_at=None,
        revoked_at=None,
    )


@pytest.mark.parametrize(
    ("scopes", "path"),
    [
        ([Scope.ADMIN, Scope.CHAT], "/v1/chat/completions"),
        ([Scope.FEEDBACK], "/v1/feedback"),
        ([Scope.ADMIN], "/v1/admin/status"),
    ],
)
def test_the_example_asks_a_terminal_for_the_first_thing_that_the_key_opens(scopes: list[Scope], path: str) -> None:
    shown = unescape(render_new_key(key_with(*scopes), "errata-token", site="https://errata.test/support"))
    command = shlex.split(shown.partition("<pre")[2].partition(">")[2].partition("</pre>")[0])
    assert command[:2] == ["curl", f"https://errata.test/support{path}"]
    assert "Authorization: Bearer errata-token" in command
    assert "-d" not in command or json.loads(command[command.index("-d") + 1])


def test_each_scope_is_offered_with_what_it_opens() -> None:
    assert set(OPENS) == set(Scope)
