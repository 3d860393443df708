"""Questions of the guard set that reviewers no longer have watched, each for the sake of a correction. Holds keys, no text.

A question is known by its words (`questions.name_question`), so it stays out in any case and greeting, and nothing of it has to be erased.
Once the correction is erased, nothing changes the answer any more, and the question is watched again.
"""

from datetime import datetime
from typing import NewType

from feedback_db.database import Reader, Transaction, store_time, translate_refusals
from feedback_db.errors import NotFoundError
from feedback_db.records import CorrectionId, PersonId

UnwatchedId = NewType("UnwatchedId", int)


def stop_watching(tx: Transaction, question_key: str, *, correction_id: CorrectionId, person_id: PersonId, now: datetime) -> UnwatchedId:
    """Have a question no longer watched for the sake of a correction that changes its answer; said twice, it stays as it is.

    Raises:
        NotFoundError: there is no such correction or person.
    """
    told = {"key": question_key, "correction_id": correction_id, "person_id": person_id, "now": store_time(now)}
    with translate_refusals({"FOREIGN KEY": NotFoundError("a correction", correction_id)}):
        tx.execute(
            """
            INSERT INTO unwatched_questions (question_key, correction_id, person_id, stopped_at)
            VALUES (:key, :correction_id, :person_id, :now) ON CONFLICT (question_key, correction_id) DO NOTHING
            """,
            told,
        )
    sql = "SELECT id FROM unwatched_questions WHERE question_key = :key AND correction_id = :correction_id"
    return UnwatchedId(tx.execute(sql, told).fetchone()["id"])


def watch_again(tx: Transaction, unwatched_id: UnwatchedId) -> None:
    """Undo that a question is no longer watched; does nothing where that is undone."""
    tx.execute("DELETE FROM unwatched_questions WHERE id = :id", {"id": unwatched_id})


def list_unwatched(reader: Reader) -> frozenset[str]:
    """Return the keys of all questions that are no longer watched."""
    return frozenset(row["question_key"] for row in reader.execute("SELECT question_key FROM unwatched_questions"))


def count_unwatched(reader: Reader, correction_id: CorrectionId) -> int:
    """Return how many questions are no longer watched for the sake of a correction."""
    sql = "SELECT count(*) FROM unwatched_questions WHERE correction_id = :id"
    return int(reader.execute(sql, {"id": correction_id}).fetchone()[0])
