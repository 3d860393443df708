import json
import re
from collections.abc import Callable

import pytest

from assistant.engine.base_model import BaseModel
from assistant.engine.rendering import count_prompt_tokens
from assistant.prompt import build_messages
from assistant.settings import BUNDLED_BASE
from trainer.evaluation import generate_replies
from trainer.support_base import evaluation, suites
from trainer.support_base.corpus import Corpus
from trainer.support_base.evaluation import states
from trainer.support_base.reading import Reader
from trainer.support_base.suites import Counts

COUNTS = Counts(per_intent=2, clarify_per_intent=1, references=120, long_contexts=10, per_small_talk=8, identity=20, refusals=100)
NOISE = 0.1  # three standard errors of a share of some 150 questions


@pytest.fixture(scope="module")
def scores(bundled_base: BaseModel, corpus: Corpus) -> dict[str, float]:
    """Scores of a seed that the model card does not use, on about 700 questions; the full measure is `… evaluate`."""
    questions = suites.draw_questions(corpus, 7, COUNTS)
    answered = evaluation.answer_all(questions, lambda prompts: generate_replies(bundled_base, prompts), Reader(corpus))
    return evaluation.score(answered)


@pytest.fixture
def ask(bundled_base: BaseModel) -> Callable[..., str]:
    def answer(question: str, *, passages: list[str] | None = None, history: list[tuple[str, str]] | None = None) -> str:
        messages = build_messages("You are Ada, the support assistant of Acme.", history or [], question, passages or [])
        return generate_replies(bundled_base, [messages])[0]

    return answer


@pytest.mark.usefixtures("bundled_base")
def test_the_folder_is_small_and_holds_no_code() -> None:
    assert sum(path.stat().st_size for path in BUNDLED_BASE.iterdir()) <= 16e6
    assert {path.suffix for path in BUNDLED_BASE.iterdir()} <= {".json", ".safetensors", ".jinja", ".md"}


@pytest.mark.usefixtures("bundled_base")
def test_it_is_a_plain_llama_with_a_context_of_2048_tokens() -> None:
    config = json.loads((BUNDLED_BASE / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["max_position_embeddings"] == 2048
    assert config["dtype"] == "bfloat16"


def test_it_has_five_to_seven_and_a_half_million_parameters(bundled_base: BaseModel) -> None:
    assert 5e6 <= bundled_base.model.num_parameters() <= 7.5e6


def test_every_digit_is_a_token_of_its_own(bundled_base: BaseModel) -> None:
    tokens = bundled_base.tokenizer.tokenize("order 4821937 for $12.50")
    assert not any(sum(char.isdigit() for char in token) > 1 for token in tokens)


def test_a_rendered_prompt_is_a_prefix_of_the_rendered_conversation(bundled_base: BaseModel) -> None:
    prompt = build_messages("Be kind.", [("a", "b")], "c")
    rendered = bundled_base.tokenizer.apply_chat_template(prompt, tokenize=False, add_generation_prompt=True)
    whole = bundled_base.tokenizer.apply_chat_template([*prompt, {"role": "assistant", "content": "d"}], tokenize=False)
    assert whole == rendered + "d<|end|>"


def test_any_text_survives_the_tokenizer(bundled_base: BaseModel) -> None:
    text = "Grüße, 你好 🙂\n\ttab  two blanks"
    assert bundled_base.tokenizer.decode(bundled_base.tokenizer(text)["input_ids"]) == text


@pytest.fixture
def card() -> dict[str, float]:
    """What the model card says that was measured."""
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", (BUNDLED_BASE / "README.md").read_text(), re.MULTILINE)
    return {name: float(value) for name, value in rows}


@pytest.mark.slow
@pytest.mark.parametrize(
    "measure", ["intent_accuracy", "entity_accuracy", "follow_up_accuracy", "reference_accuracy", "small_talk", "refusal"]
)
def test_it_does_what_its_card_says_give_or_take_the_noise_of_fewer_questions(
    measure: str, scores: dict[str, float], card: dict[str, float]
) -> None:
    assert scores[measure] >= card[measure] - NOISE


@pytest.mark.slow
@pytest.mark.parametrize("measure", ["wrong_refusal", "distractor_errors"])
def test_it_makes_hardly_more_mistakes_than_its_card_says(measure: str, scores: dict[str, float], card: dict[str, float]) -> None:
    assert scores[measure] <= card[measure] + NOISE


def test_it_takes_a_fact_from_a_reference_block(ask: Callable[..., str]) -> None:
    passages = ["Opening hours of the Leeds shop: 7:15 am to 9:45 pm on weekdays.", "Delivery to Leeds takes 12 working days."]
    assert states(ask("how long does delivery to Leeds take?", passages=passages), "12")


def test_it_still_reads_a_passage_behind_a_thousand_tokens_of_conversation(bundled_base: BaseModel, ask: Callable[..., str]) -> None:
    reply = "Choose 'Send again' on the sign-in page. You will get a link by mail that stays valid for 20 minutes."
    history = [("how do i reset my password?", reply)] * 28
    facts = "Approved refunds are paid out within 37 days; banks need up to 9 days to book them."
    passages = [f"Refund status: shown at velora.example/claim. {facts}"]
    assert count_prompt_tokens(bundled_base.tokenizer, build_messages(None, history, "")) > 1000
    found = ask("when will i get my refund?", passages=passages, history=history)
    assert states(found, "37")
    assert states(found, "velora.example/claim")
