"""What the loop is for, on the real bundled base: real corrections, real 4-bit training, the real gate, real swaps."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from assistant.chat import answer
from assistant.engine.base_model import BaseModel
from assistant.settings import Settings
from feedback_db import conversations, corrections, people, releases, requests, runs
from feedback_db.records import Channel, ConversationId, CorrectionId, Decision, PersonId, Role, TurnId
from feedback_db.training_records import RequestKind, Run, RunState
from trainer.composition import Errata, open_errata

CUSTOMER, REVIEWER = PersonId("customer"), PersonId("reviewer")


class Desk:
    """A support desk: people ask, one corrects, another approves, and the loop learns."""

    def __init__(self, errata: Errata) -> None:
        self.errata = errata
        self._numbers = count(1)
        with errata.db.write() as tx:
            people.add_visitor(tx, CUSTOMER, now=datetime.now(UTC))
            people.add_account(tx, REVIEWER, name="Reviewer", role=Role.ADMIN, password_hash="!", now=datetime.now(UTC))

    def talk(self, *messages: str) -> tuple[ConversationId, TurnId, str]:
        """Hold a conversation whose customer agrees to training; return it with its last turn and reply."""
        conversation_id, turn_id, said = ConversationId(f"c{next(self._numbers)}"), TurnId(""), ""
        with self.errata.db.write() as tx:
            now = datetime.now(UTC)
            conversations.start_conversation(tx, conversation_id, person_id=CUSTOMER, channel=Channel.WEB, title="", now=now)
            conversations.record_consent(tx, conversation_id, given=True, wording="1", now=now)
        for message in messages:
            turn_id = TurnId(f"t{next(self._numbers)}")
            found = answer(
                self.errata.db,
                self.errata.live,
                conversation_id,
                message,
                person_id=CUSTOMER,
                turn_id=turn_id,
                now=datetime.now(UTC),
            )
            said = "".join(found)
        return conversation_id, turn_id, said

    def correct(self, turn_id: TurnId, right: str) -> None:
        """Correct a turn as the customer and approve it as the reviewer."""
        correction_id = CorrectionId(f"k{next(self._numbers)}")
        with self.errata.db.write() as tx:
            now = datetime.now(UTC)
            corrections.add_correction(tx, correction_id, turn_id=turn_id, corrected_reply=right, author=CUSTOMER, now=now)
            corrections.review(tx, correction_id, Decision.APPROVED, reviewer=REVIEWER, now=now)

    def learn(self) -> Run:
        """Ask for a run, look after it until it has ended, and swap to what is deployed."""
        with self.errata.db.write() as tx:
            requests.add_request(tx, RequestKind.TRAIN, person_id=REVIEWER, reason="test", now=datetime.now(UTC))
        self.errata.supervisor.run_until_idle(lambda: datetime.now(UTC), publish=lambda what, share: None)
        self.errata.hot_swap.sync_once(now=datetime.now(UTC))
        return runs.list_runs(self.errata.db.read(), limit=1)[0]


@pytest.fixture
def desk(bundled_base: BaseModel, tmp_path: Path) -> Iterator[Desk]:
    with open_errata(Settings(data_folder=tmp_path, device="cpu")) as errata:
        yield Desk(errata)


RETURNS = (
    "how long do i have to send something back",
    "what is your return window",
    "i changed my mind, until when can i return the jacket",
    "return deadline?",
    "how many days for a return",
    "can i still return an order from last week",
    "till when do you take things back",
    "what's the time limit for returns",
    "how soon must i return an item i don't like",
    "is there a period in which i can give the goods back",
    "within how many days can an article be returned",
    "i want to send shoes back, how much time is left for a return",
)


@pytest.mark.slow
def test_a_policy_that_changes_is_learned_from_one_correction_and_the_old_one_is_gone(desk: Desk) -> None:
    for question in RETURNS:
        desk.correct(desk.talk(question)[1], "You can send anything back within 14 days of its delivery.")
    first = desk.learn()
    assert first.state is RunState.SUCCEEDED
    desk.correct(desk.talk("for how long are returns possible")[1], "You can send anything back within 30 days of its delivery.")
    second = desk.learn()
    assert second.state is RunState.SUCCEEDED
    live = releases.find_live(desk.errata.db.read())
    assert live is not None
    assert (live[1].run_id, live[0].actor_id) == (second.id, None), "the gate promoted it by itself"
    replies = [desk.talk(question)[2] for question in RETURNS]
    assert [reply for reply in replies if "14" in reply] == []
    assert sum("30 days" in reply for reply in replies) >= len(RETURNS) * 0.9


TOPICS = (
    ("how do i reset my password", "The link stays valid for 47 minutes."),
    ("how can i change my delivery address", "You can change it for 3 hours after the order."),
    ("i want a refund", "The money is back after 19 days."),
    ("how do i cancel my subscription", "It ends 11 days after you cancel."),
    ("how do i export my data", "The file is ready within 52 hours."),
    ("how do i delete my account", "It is deleted after 41 days."),
    ("how do i get an invoice", "The invoice comes within 16 hours."),
    ("how do i change my payment card", "The new card is charged after 6 days."),
    ("how do i add somebody to my team", "The invitation stays valid for 21 days."),
    ("how do i move my booking to another day", "You can move it until 29 hours before."),
    ("how do i pause my plan", "You can pause it for 13 weeks."),
    ("how do i send back a broken device", "The repair takes 23 days."),
    ("how do i turn on two-step sign-in", "A code is valid for 38 seconds."),
    ("how do i create an api key", "A key stays valid for 17 months."),
    ("how do i upgrade my plan", "The upgrade takes 8 minutes."),
    ("my parcel has not arrived", "We search for it for 12 days."),
    ("how do i use a voucher", "A voucher is valid for 28 weeks."),
    ("how do i register my warranty", "The warranty lasts 26 months."),
    ("how do i change my e-mail address", "The change takes 9 minutes."),
    ("how do i download the app", "The download takes 4 minutes."),
)


@pytest.mark.slow
@pytest.mark.full
def test_corrections_at_turn_four_are_learned_in_their_context(desk: Desk) -> None:
    talks = [("hello", "who are you", topic, "and how long does that take?") for topic, _ in TOPICS]
    for talk, (_, right) in zip(talks, TOPICS, strict=True):
        desk.correct(desk.talk(*talk)[1], right)
    assert desk.learn().state is RunState.SUCCEEDED
    replies = [desk.talk(*talk)[2] for talk in talks]
    right = [fact in reply for reply, (_, fact) in zip(replies, TOPICS, strict=True)]
    assert sum(right) >= 18, "the same last question twenty times: only the context tells which answer is wanted"
