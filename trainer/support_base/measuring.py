"""Measures a base folder: loads it in nf4 and unquantised by the ordinary loader, has both answer, scores the replies."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.progress import Progress

from assistant.engine.base_model import BaseModel, Quantisation, load_base_model
from assistant.prompt import Message
from trainer.evaluation import generate_replies
from trainer.support_base import evaluation, suites
from trainer.support_base.corpus import Corpus, load_corpus
from trainer.support_base.evaluation import Answered
from trainer.support_base.reading import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """All that a measurement found; shares are between 0 and 1, entropies in bits."""

    scores: dict[str, float]
    entropies: dict[str, float]
    confusions: list[tuple[str, str, int]]
    answered: list[Answered]


def measure_base(folder: Path, *, seed: int, human_questions: Path, progress: Progress) -> Measured:
    """Measure a base; takes some minutes on two cores."""
    corpus = load_corpus()
    reader = Reader(corpus)
    drawn = suites.draw_questions(corpus, seed)
    quantised = load_base_model(folder)
    answered = evaluation.answer_all(drawn, _answerer(quantised, progress, "nf4"), reader)
    scores = evaluation.score(answered)
    by_hand = _answer_human(human_questions, corpus, quantised, progress, reader)
    scores |= evaluation.score_human(by_hand)
    plain = load_base_model(folder, quantisation=Quantisation.NONE)
    scores |= evaluation.agreement(answered, evaluation.answer_all(drawn, _answerer(plain, progress, "bf16"), reader))
    scores["folder_mb"] = round(sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6, 2)
    return Measured(
        scores=scores,
        entropies=evaluation.slot_entropies(seed),
        confusions=evaluation.confusions(by_hand),
        answered=[*answered, *by_hand],
    )


def write_replies(measured: Measured, path: Path) -> None:
    """Write every generated question with its reply and reading, for a look by eye; questions typed by hand are left out.

    Whoever mends the corpus must not read those, or they would measure nothing any more.
    """
    with path.open("w", encoding="utf-8") as file:
        for one in measured.answered:
            if one.question.suite != "human":
                file.write(json.dumps(_to_row(one), ensure_ascii=False) + "\n")


def _to_row(one: Answered) -> dict[str, object]:
    wanted = one.question.wanted
    return {
        "suite": one.question.suite,
        "wanted": f"{wanted.kind.value}:{wanted.topic}",
        "read": None if one.reading is None else f"{one.reading.kind.value}:{one.reading.topic}",
        "user": wanted.user,
        "reply": one.reply,
        "gold": wanted.reply,
        "facts": wanted.facts,
        "states_facts": one.states_facts,
        "states_distractor": one.states_distractor,
    }


def _answer_human(path: Path, corpus: Corpus, base: BaseModel, progress: Progress, reader: Reader) -> list[Answered]:
    questions = suites.read_human_questions(path, corpus)
    return evaluation.answer_all(questions, _answerer(base, progress, "by hand"), reader)


def _answerer(base: BaseModel, progress: Progress, name: str) -> Callable[[Sequence[list[Message]]], list[str]]:
    def answer(prompts: Sequence[list[Message]]) -> list[str]:
        task = progress.add_task(name, total=len(prompts))
        return generate_replies(base, prompts, report=lambda done: progress.update(task, completed=done))

    return answer
