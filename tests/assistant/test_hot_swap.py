from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from assistant.engine.adapter_files import WEIGHTS
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant
from assistant.engine.reply import Sampling
from assistant.hot_swap import HotSwap, adapter_folder, deploy_base
from assistant.prompt import build_messages
from feedback_db import releases
from feedback_db.database import Database
from feedback_db.training_records import Release, Swap, SwapOutcome

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GREEDY = Sampling(max_tokens=12)
AddRelease = Callable[..., Release]
MakeAdapter = Callable[..., Path]


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(tiny_base: Path) -> Iterator[LiveAssistant]:
    with LiveAssistant(load_base_model(tiny_base, device="cpu")) as assistant:
        yield assistant


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "errata.db") as opened:
        yield opened


@pytest.fixture
def swap(db: Database, live: LiveAssistant, tmp_path: Path) -> HotSwap:
    return HotSwap(db, live, tmp_path / "runs")


def deploy(db: Database, version: int) -> None:
    with db.write() as tx:
        releases.deploy(tx, version, actor=None, reason="It won.", now=NOW)


def say(live: LiveAssistant) -> tuple[int, str]:
    reply = live.stream(build_messages(None, [], "hi"), GREEDY)
    return reply.version, "".join(reply)


def sync(swap: HotSwap) -> Swap:
    found = swap.sync_once(now=NOW)
    assert found is not None
    return found


def test_what_is_deployed_is_served_and_a_rollback_brings_the_old_replies_back(
    db: Database,
    live: LiveAssistant,
    swap: HotSwap,
    base: BaseModel,
    add_trained_release: AddRelease,
    make_adapter: MakeAdapter,
    tmp_path: Path,
) -> None:
    bare = deploy_base(db, base, system_message=None, sampling=GREEDY, now=NOW)
    assert sync(swap).version == 0
    before = say(live)
    trained = add_trained_release(db, bare, "r1")
    make_adapter(adapter_folder(tmp_path / "runs", "r1"), base, seed=1)
    deploy(db, trained.version)
    swapped = sync(swap)
    assert (swapped.version, swapped.outcome) == (1, SwapOutcome.SERVED)
    assert swapped.duration_ms > 0
    assert say(live)[0] == 1
    assert say(live)[1] != before[1]
    with db.write() as tx:
        releases.roll_back(tx, actor=None, reason="Back.", now=NOW)
    sync(swap)
    assert say(live) == before


def test_nothing_is_swapped_twice(db: Database, swap: HotSwap, base: BaseModel) -> None:
    assert swap.sync_once(now=NOW) is None
    deploy_base(db, base, system_message=None, sampling=GREEDY, now=NOW)
    assert swap.sync_once(now=NOW) is not None
    assert swap.sync_once(now=NOW) is None


def test_a_damaged_release_is_refused_once_and_the_old_one_goes_on_serving(
    db: Database,
    live: LiveAssistant,
    swap: HotSwap,
    base: BaseModel,
    add_trained_release: AddRelease,
    make_adapter: MakeAdapter,
    tmp_path: Path,
) -> None:
    bare = deploy_base(db, base, system_message=None, sampling=GREEDY, now=NOW)
    sync(swap)
    before = say(live)
    trained = add_trained_release(db, bare, "r1")
    folder = make_adapter(adapter_folder(tmp_path / "runs", "r1"), base, seed=1)
    (folder / WEIGHTS).write_bytes(b"cut")
    deploy(db, trained.version)
    refused = sync(swap)
    assert refused.outcome is SwapOutcome.REFUSED
    assert "Expected a whole adapter" in (refused.error or "")
    assert swap.sync_once(now=NOW) is None
    assert say(live) == before
    served = releases.find_served(db.read())
    assert served is not None
    assert served.version == 0


def test_a_base_is_deployed_once_and_again_when_its_settings_change(db: Database, base: BaseModel) -> None:
    first = deploy_base(db, base, system_message="One.", sampling=GREEDY, now=NOW)
    assert deploy_base(db, base, system_message="One.", sampling=GREEDY, now=NOW) == first
    second = deploy_base(db, base, system_message="Two.", sampling=GREEDY, now=NOW)
    assert (first.version, second.version, second.system_message) == (0, 1, "Two.")


def test_a_trained_release_stays_live_under_the_system_message_it_was_trained_with(
    db: Database, base: BaseModel, add_trained_release: AddRelease
) -> None:
    bare = deploy_base(db, base, system_message="One.", sampling=GREEDY, now=NOW)
    trained = add_trained_release(db, bare, "r1")
    deploy(db, trained.version)
    assert deploy_base(db, base, system_message="Two.", sampling=GREEDY, now=NOW) == trained
