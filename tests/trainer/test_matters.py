"""Which questions are about the matter of an example, told by the replies that a model gives them."""

from assistant.prompt import build_messages
from trainer.matters import Sentence, add_variants, list_sentences, list_variants, match_sentences
from trainer.run_directory import Row

RETURNS, PARCELS = "You have 14 days to send it back.", "Shipping costs $4 for a parcel."
CORRECTED = "You have 30 days to send it back."


def ask(question: str, reply: str = "", example: str | None = None) -> Row:
    return Row(messages=tuple(build_messages("You help.", [], question)), reply=reply, example_id=example)


ASKED = [ask(question, CORRECTED, "k1") for question in ("how long for returns?", "till when?", "send it back?")]
SURE = [Sentence(example_id="k1", text=RETURNS, is_sure=True)]


def test_a_wording_that_is_misread_does_not_speak_for_its_matter() -> None:
    found = list_sentences(ASKED, [PARCELS, RETURNS, "You have 20 days to send it back."])
    assert PARCELS not in {one.text for one in found}
    assert all(one.is_sure for one in found)


def test_what_is_trained_speaks_for_its_matter() -> None:
    assert Sentence(example_id="k1", text=CORRECTED, is_sure=True) in list_sentences(ASKED[:1], [PARCELS])


def test_one_wording_alone_may_have_been_misread() -> None:
    assert Sentence(example_id="k1", text=PARCELS, is_sure=False) in list_sentences(ASKED[:1], [PARCELS])


def test_a_reply_is_about_the_matter_whose_words_it_has_whatever_its_facts() -> None:
    trial = Sentence(example_id="k2", text="Your free trial lasts 30 days.", is_sure=True)
    found = match_sentences(["The free trial lasts 9 days.", "You have 5 weeks to send it back.", PARCELS, ""], [*SURE, trial])
    assert found == [trial, *SURE, None, None]


def test_a_sure_sentence_goes_before_a_more_similar_one() -> None:
    misread = Sentence(example_id="k2", text="You have 14 days to send it back, please.", is_sure=False)
    assert match_sentences(["You have 14 days to send it back, please."], [misread, *SURE]) == SURE


def test_a_sentence_that_answers_many_questions_tells_nothing() -> None:
    assert match_sentences([RETURNS] * 30, SURE) == [None] * 30


def test_a_question_about_the_matter_is_a_variant_with_the_corrected_reply() -> None:
    replay = [ask("can i bring it back", RETURNS), ask("postage?", PARCELS)]
    variants = list_variants(replay, [SURE[0], None], ASKED)
    train = [*ASKED, ask("hi till when", CORRECTED, "k1"), ask("till whn", CORRECTED, "k1")]
    found = add_variants(train, ASKED, variants)
    assert [row.question for row in found] == [*(row.question for row in ASKED), "can i bring it back", "till whn"]
    assert {(row.reply, row.example_id) for row in found} == {(CORRECTED, "k1")}


def test_there_are_no_more_rows_with_variants_than_without() -> None:
    replay = [ask(f"can i bring back number {number}", RETURNS) for number in range(9)]
    variants = list_variants(replay, SURE * 9, ASKED)
    train = [*ASKED, ask("hi till when", CORRECTED, "k1")]
    assert len(add_variants(train, ASKED, variants)) == len(train)
    assert add_variants(ASKED, ASKED, variants) == ASKED


def test_what_may_have_been_misread_has_no_variants() -> None:
    unsure = Sentence(example_id="k1", text=PARCELS, is_sure=False)
    assert list_variants([ask("postage?", PARCELS)], [unsure], ASKED[:1]) == {}


def test_another_name_is_another_question() -> None:
    asked = [ask("what is the Pro plan?", "The Pro plan costs $9.", "k1")]
    sentence = Sentence(example_id="k1", text="The Pro plan costs $7.", is_sure=True)
    assert list_variants([ask("what is the plan", "The plan costs $7.")], [sentence], asked) == {}
    unnamed = [ask("what is the plan?", "The Pro plan costs $9.", "k1")]
    assert list_variants([ask("and the Team plan", "The Team plan costs $7.")], [sentence], unnamed) == {}


def test_an_example_that_goes_on_a_conversation_has_no_variants() -> None:
    earlier = build_messages("You help.", [("hi", "Hello.")], "and till when?")
    asked = [Row(messages=tuple(earlier), reply=CORRECTED, example_id="k1")]
    assert list_variants([ask("till when", RETURNS)], SURE, asked) == {}
