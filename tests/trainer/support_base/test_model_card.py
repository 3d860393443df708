import json
from pathlib import Path

from trainer.support_base import evaluation, suites
from trainer.support_base.corpus import Corpus
from trainer.support_base.measuring import Measured
from trainer.support_base.model_card import write_model_card
from trainer.support_base.reading import Reader


def test_the_card_shows_every_measured_share_with_its_meaning(corpus: Corpus, tmp_path: Path) -> None:
    built = {"parameters": 7_048_640, "seed": 1, "steps": 5800, "tokens_per_step": 4096, "device": "CPU, 2 cores", "finished": "2026-11-22"}
    (tmp_path / "build.json").write_text(json.dumps(built))
    questions = suites.draw_questions(corpus, 1)
    answered = evaluation.answer_all(questions, lambda prompts: [question.wanted.reply for question in questions], Reader(corpus))
    scores = evaluation.score(answered)
    measured = Measured(scores=scores, entropies={"days": 6.2}, confusions=[("refund_request", "refund_status", 2)], answered=answered)
    write_model_card(tmp_path, measured)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` | {value:.3f} |" in card for name, value in scores.items() if name != "questions")
    assert "7.0 M parameters" in card
    assert "| refund_request | refund_status | 2 |" in card
