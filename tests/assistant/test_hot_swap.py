from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from assistant.engine.adapter_files import MANIFEST, WEIGHTS
from assistant.engine.base_model import BaseModel, load_base_model
from assistant.engine.live import LiveAssistant, ServedRelease
from assistant.engine.reply import Sampling
from assistant.errors import AdapterRefusedError, NoMemoryError
from assistant.hot_swap import HotSwap, adapter_folder, deploy_base
from assistant.prompt import build_messages
from feedback_db import releases
from feedback_db.database import Database
from feedback_db.files import hash_file
from feedback_db.training_records import Release, Swap, SwapOutcome
from tests.auditing import open_audit

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GREEDY = Sampling(max_tokens=12)
AddRelease = Callable[..., Release]
MakeAdapter = Callable[..., Path]
Train = Callable[..., Release]


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> BaseModel:
    return load_base_model(tiny_base, device="cpu")


@pytest.fixture
def live(base: BaseModel) -> Iterator[LiveAssistant]:
    with LiveAssistant(base) as assistant:
        yield assistant


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "errata.db") as opened:
        yield opened


@pytest.fixture
def swap(db: Database, live: LiveAssistant, tmp_path: Path) -> HotSwap:
    return HotSwap(db, open_audit(db), live, tmp_path / "runs")


@pytest.fixture
def bare(db: Database, base: BaseModel) -> Release:
    """The bare base, deployed."""
    return deploy_base(db, open_audit(db), base, system_message=None, sampling=GREEDY, now=NOW)


@pytest.fixture
def train(
    db: Database, base: BaseModel, bare: Release, add_trained_release: AddRelease, make_adapter: MakeAdapter, tmp_path: Path
) -> Train:
    """Deploy what a run has trained, its weights cut short if asked for."""

    def add(run_id: str, *, is_cut: bool = False) -> Release:
        folder = make_adapter(adapter_folder(tmp_path / "runs", run_id), base, seed=1)
        if is_cut:
            (folder / WEIGHTS).write_bytes(b"cut")
        trained = add_trained_release(db, bare, run_id, hash_file(folder / MANIFEST))
        deploy(db, trained.version)
        return trained

    return add


def deploy(db: Database, version: int) -> None:
    with db.write() as tx:
        releases.deploy(tx, open_audit(db), version, actor=None, reason="It won.", now=NOW)


def say(live: LiveAssistant) -> tuple[int, str]:
    reply = live.stream(build_messages(None, [], "hi"), GREEDY)
    return reply.version, "".join(reply)


def sync(swap: HotSwap, now: datetime = NOW) -> Swap:
    found = swap.sync_once(now=now)
    assert found is not None
    return found


def find_deployed(db: Database) -> int:
    found = releases.find_live(db.read())
    assert found is not None
    return found[1].version


def test_what_is_deployed_is_served_and_a_rollback_brings_the_old_replies_back(
    db: Database, live: LiveAssistant, swap: HotSwap, bare: Release, train: Train
) -> None:
    assert sync(swap).version == bare.version == 0
    before = say(live)
    train("r1")
    swapped = sync(swap)
    assert (swapped.version, swapped.outcome) == (1, SwapOutcome.SERVED)
    assert swapped.duration_ms > 0
    assert say(live)[0] == 1
    assert say(live)[1] != before[1]
    with db.write() as tx:
        releases.roll_back(tx, open_audit(db), actor=None, reason="Back.", now=NOW)
    sync(swap)
    assert say(live) == before


def test_nothing_is_swapped_twice(swap: HotSwap, db: Database, base: BaseModel) -> None:
    assert swap.sync_once(now=NOW) is None
    deploy_base(db, open_audit(db), base, system_message=None, sampling=GREEDY, now=NOW)
    assert swap.sync_once(now=NOW) is not None
    assert swap.sync_once(now=NOW) is None


def test_a_damaged_release_is_refused_and_rolled_back_and_the_old_one_goes_on_serving(
    db: Database, live: LiveAssistant, swap: HotSwap, bare: Release, train: Train
) -> None:
    sync(swap)
    before = say(live)
    trained = train("r1", is_cut=True)
    refused = sync(swap)
    assert (refused.version, refused.outcome) == (trained.version, SwapOutcome.REFUSED)
    assert "Expected a whole adapter" in (refused.error or "")
    rollback, undone = releases.list_deployments(db.read(), limit=2)
    assert (rollback.version, rollback.actor_id, rollback.undoes) == (bare.version, None, undone.id)
    assert rollback.reason.startswith("The engine refused release 1. Expected a whole adapter in ")
    assert say(live) == before
    again = sync(swap)
    assert (again.version, again.outcome, again.deployment_id) == (bare.version, SwapOutcome.SERVED, rollback.id)
    assert swap.sync_once(now=NOW) is None
    assert say(live) == before


def test_an_adapter_that_cannot_be_read_for_a_while_is_tried_again_and_not_rolled_back(
    db: Database, live: LiveAssistant, swap: HotSwap, train: Train, tmp_path: Path
) -> None:
    sync(swap)
    trained = train("r1")
    weights = adapter_folder(tmp_path / "runs", "r1") / WEIGHTS
    aside = weights.rename(tmp_path / "aside")
    weights.symlink_to(weights)  # a loop: the system cannot read it, and nothing is known of its content
    refused = sync(swap)
    assert "it is tried again by itself" in (refused.error or "")
    assert find_deployed(db) == trained.version
    weights.unlink()
    aside.rename(weights)
    assert sync(swap, NOW + timedelta(minutes=1)).version == live.status().version == trained.version


def test_a_start_goes_back_to_the_newest_release_that_can_be_served(db: Database, live: LiveAssistant, swap: HotSwap, train: Train) -> None:
    good = train("r1")
    for run_id in ("r2", "r3"):
        train(run_id, is_cut=True)
    swapped = sync(swap)
    assert (swapped.version, swapped.outcome) == (good.version, SwapOutcome.SERVED)
    assert live.status().version == find_deployed(db) == good.version
    assert [one.outcome for one in releases.list_swaps(db.read())] == [SwapOutcome.SERVED, SwapOutcome.REFUSED, SwapOutcome.REFUSED]


def test_where_nothing_is_left_to_roll_back_to_the_refusal_stays_and_nothing_is_served(
    db: Database, live: LiveAssistant, swap: HotSwap, base: BaseModel
) -> None:
    deploy_base(db, open_audit(db), replace(base, revision="another"), system_message=None, sampling=GREEDY, now=NOW)
    refused = sync(swap)
    assert (refused.outcome, live.status().version) == (SwapOutcome.REFUSED, None)
    assert "Expected the base revision of release 0: another" in (refused.error or "")
    assert swap.sync_once(now=NOW) is None
    assert len(releases.list_deployments(db.read())) == len(releases.list_swaps(db.read())) == 1


def test_what_somebody_deploys_while_a_release_is_refused_is_not_taken_back(
    db: Database, live: LiveAssistant, swap: HotSwap, bare: Release, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = train("r1"), train("r2", is_cut=True)
    swap_to = live.swap_to

    def deploy_meanwhile(release: ServedRelease) -> float:
        if release.version == bad.version:
            deploy(db, good.version)
        return swap_to(release)

    monkeypatch.setattr(live, "swap_to", deploy_meanwhile)
    assert sync(swap).version == good.version
    assert [one.version for one in releases.list_deployments(db.read())] == [good.version, bad.version, good.version, bare.version]


def test_a_release_that_lacks_memory_stays_deployed_and_is_tried_again_after_half_a_minute(
    db: Database, live: LiveAssistant, swap: HotSwap, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, tried = train("r1"), list[int]()

    def lack_memory(release: ServedRelease) -> float:
        tried.append(release.version)
        raise NoMemoryError("an adapter", "cpu")

    with monkeypatch.context() as patch:
        patch.setattr(live, "swap_to", lack_memory)
        found = [swap.sync_once(now=NOW + timedelta(seconds=seconds)) for seconds in (0, 1, 29, 30, 31, 59, 60)]
    assert [None if one is None else one.outcome for one in found] == [SwapOutcome.REFUSED] + [None] * 6
    assert tried == [trained.version] * 3
    assert swap.sync_once(now=NOW + timedelta(seconds=89)) is None
    swapped = sync(swap, NOW + timedelta(seconds=90))
    assert (swapped.version, swapped.outcome) == (trained.version, SwapOutcome.SERVED)
    assert find_deployed(db) == trained.version
    assert len(releases.list_swaps(db.read())) == 2


def test_another_deployment_does_not_wait_for_one_that_lacked_memory(
    db: Database, live: LiveAssistant, swap: HotSwap, bare: Release, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("r1")

    def lack_memory(_: ServedRelease) -> float:
        raise NoMemoryError("an adapter", "cpu")

    with monkeypatch.context() as patch:
        patch.setattr(live, "swap_to", lack_memory)
        sync(swap)
    deploy(db, bare.version)
    assert sync(swap).outcome is SwapOutcome.SERVED


def test_a_closing_assistant_refuses_nothing(db: Database, live: LiveAssistant, swap: HotSwap, bare: Release) -> None:
    live.close()
    assert swap.sync_once(now=NOW) is None
    assert releases.list_swaps(db.read()) == []
    assert find_deployed(db) == bare.version


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        ("it adapts <|end|>", "The engine refused release 1; its swap says why."),
        ("it adapts \u202e", "The engine refused release 1; its swap says why."),
        ("it adapts " + "a layer " * 1000, "The engine refused release 1. Expected an adapter in 'adapter' that"),
    ],
)
def test_a_rollback_can_be_stored_whatever_the_adapter_is_made_of(
    why: str, reason: str, db: Database, live: LiveAssistant, swap: HotSwap, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    train("r1")

    def refuse(_: ServedRelease) -> float:
        raise AdapterRefusedError(Path("adapter"), why)

    with monkeypatch.context() as patch:
        patch.setattr(live, "swap_to", refuse)
        sync(swap)
    assert any(one.reason.startswith(reason) and one.undoes is not None for one in releases.list_deployments(db.read()))


@pytest.mark.parametrize("other", [{"revision": "another"}, {"quantisation": "none"}])
def test_another_base_is_deployed_in_the_place_of_a_trained_release(
    other: dict[str, str], db: Database, base: BaseModel, train: Train
) -> None:
    trained = train("r1")
    deployed = deploy_base(db, open_audit(db), replace(base, **other), system_message=None, sampling=GREEDY, now=NOW)  # type: ignore[arg-type]
    assert (deployed.version, deployed.run_id) == (trained.version + 1, None)


def test_a_base_is_deployed_once_and_again_when_its_settings_change(db: Database, base: BaseModel) -> None:
    first = deploy_base(db, open_audit(db), base, system_message="One.", sampling=GREEDY, now=NOW)
    assert deploy_base(db, open_audit(db), base, system_message="One.", sampling=GREEDY, now=NOW) == first
    second = deploy_base(db, open_audit(db), base, system_message="Two.", sampling=GREEDY, now=NOW)
    assert (first.version, second.version, second.system_message) == (0, 1, "Two.")


def test_a_trained_release_stays_live_under_the_system_message_it_was_trained_with(db: Database, base: BaseModel, train: Train) -> None:
    trained = train("r1")
    assert deploy_base(db, open_audit(db), base, system_message="Two.", sampling=GREEDY, now=NOW) == trained
