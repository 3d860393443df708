"""Errata served for programs, over a tiny random base, with keys for what each scope opens."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from feedback_db import people
from feedback_db.api_keys import Scope
from feedback_db.records import PersonId, Role
from tests.served import serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from openai import OpenAI

    from errata import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A site that is being served."""

    address: str
    site: Site

    def make_key(self, *scopes: Scope, name: str | None = None) -> str:
        """Return the token of a new key."""
        with self.site.errata.db.write() as tx:
            ada = people.find_account(tx, "ada")
            if ada is None:
                people.add_account(tx, PersonId("ada"), name="ada", role=Role.ADMIN, password_hash="x", now=datetime.now(UTC))
        name = name or uuid.uuid4().hex
        return self.site.keys.make(name, set(scopes), actor=PersonId("ada"), now=datetime.now(UTC))[1]


@pytest.fixture(scope="module")
def served(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    from assistant.settings import Settings
    from errata import open_site

    settings = Settings(base=str(tiny_base), device="cpu", data_folder=tmp_path_factory.mktemp("data"), max_reply_tokens=40)
    with open_site(settings) as site, serve(site.app) as address:
        yield Served(address=address, site=site)


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[OpenAI]:
    """OpenAI's own client with a key for chat and feedback."""
    from openai import OpenAI

    key = served.make_key(Scope.CHAT, Scope.FEEDBACK)
    with OpenAI(base_url=f"{served.address}/v1", api_key=key, max_retries=0) as opened:
        yield opened
