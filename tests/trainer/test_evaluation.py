from assistant.engine.base_model import BaseModel, load_base_model
from assistant.prompt import build_messages
from trainer.evaluation import generate_replies


def test_replies_come_in_the_order_of_the_prompts_and_do_not_depend_on_their_neighbours(bundled_base: BaseModel) -> None:
    asked = ["how do i reset my password", "hi", "what does the Pro plan cost?", "i was charged twice for the same order last week, why"]
    prompts = [build_messages("You are Ada, the support assistant of Acme.", [], question) for question in asked]
    together = generate_replies(bundled_base, prompts, batch_size=4)
    alone = [generate_replies(bundled_base, [prompt])[0] for prompt in prompts]
    assert [reply[:20] for reply in together] == [reply[:20] for reply in alone]


def test_progress_is_reported_to_the_last_prompt(tiny_base: str) -> None:
    done: list[int] = []
    generate_replies(load_base_model(tiny_base), [build_messages(None, [], "hi")] * 5, max_tokens=2, batch_size=2, report=done.append)
    assert done == [2, 4, 5]
