"""Pairs of questions and replies as support desks see them; in each the newer one stands first."""

from random import Random

import pytest

from trainer.contradictions import Statement, contradicts
from trainer.support_base.corpus import Corpus
from trainer.support_base.dialogues import Composer

CONTRADICTING = (
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "How long do I have to return something?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "what's your return window",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "Can I send a jacket back after two weeks?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "is it too late to bring this back, bought it last week",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "How many days do I get for a return?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "return policy?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "When does the return period end?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "If I don't like it, how long can I keep it before sending it back?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "hi, until when may I give the shoes back",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "whats the deadline for returns pls",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "I bought the wrong size, how much time do I have to return it?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long may I return an order?",
        "You can return any product within 30 days of delivery.",
        "Do I have enough time to return a gift after the holidays?",
        "You can return any product within 14 days of delivery.",
    ),
    (
        "How long do I have to return something?",
        "You can return items within 30 days.",
        "How long do I have to return something?",
        "You have 14 days to return it.",
    ),
    (
        "How long do I have to return something?",
        "You can return items within 30 days.",
        "what's your return window",
        "Returns are accepted within 14 days of delivery.",
    ),
    (
        "How long do I have to return something?",
        "You can return items within 30 days.",
        "Can I send a jacket back after two weeks?",
        "You can send it back within 14 days.",
    ),
    (
        "How long do I have to return something?",
        "You can return items within 30 days.",
        "is it too late to bring this back, bought it last week",
        "Our return window is 14 days.",
    ),
    (
        "How long do I have to return something?",
        "You can return items within 30 days.",
        "How many days do I get for a return?",
        "You may return items up to 14 days after delivery.",
    ),
    (
        "How long does shipping take?",
        "Delivery takes 5 working days.",
        "when will my parcel be delivered",
        "Delivery takes 3 working days.",
    ),
    (
        "How do I reset my password?",
        "Open Settings > Security and choose Reset.",
        "i forgot my password",
        "Open Account > Login and choose Reset password.",
    ),
    (
        "How much is the Pro plan?",
        "The Pro plan costs $29 per month.",
        "what does the pro plan cost",
        "The Pro plan costs $19 per month.",
    ),
    (
        "Can I pay by invoice?",
        "Yes, you can pay by invoice from 18 years on.",
        "is paying by invoice possible",
        "No, paying by invoice is not possible.",
    ),
    (
        "Do you ship to Norway?",
        "Yes, we ship to Norway.",
        "can you deliver to norway?",
        "We do not ship to Norway.",
    ),
    (
        "How do I contact support by phone?",
        "Call us at +44 20 7946 0018.",
        "phone number of support?",
        "Call us at +44 20 7946 0958.",
    ),
    (
        "What are your opening hours?",
        "We are open from 9:00 to 18:00.",
        "when are you open",
        "We are open from 8:00 to 17:00.",
    ),
    (
        "How long is the warranty?",
        "The warranty lasts 3 years.",
        "for how long do I have a guarantee",
        "The guarantee lasts 2 years.",
    ),
    (
        "How long does a refund take?",
        "A refund takes 10 days.",
        "when do I get my money back",
        "A refund takes 5 days.",
    ),
    (
        "How do I cancel my subscription?",
        "Go to Billing > Plan and choose End.",
        "I want to stop my subscription",
        "Go to Settings > Plan and choose Cancel.",
    ),
    (
        "what's the fee for express delivery",
        "Express delivery costs £9.",
        "how much is express shipping?",
        "Express delivery costs £7.",
    ),
    (
        "How many users are in the Team plan?",
        "The Team plan has 10 users.",
        "users included in team plan?",
        "The Team plan includes 5 users.",
    ),
    (
        "how long do i have to retrun something",
        "Within 30 days.",
        "how long do i have to return something",
        "Within 14 days.",
    ),
    (
        "HOW LONG DO I HAVE TO RETURN IT",
        "Within 30 days.",
        "How long do I have to return it?",
        "Within 14 days.",
    ),
    (
        "When is the deadline for returns?",
        "The deadline is 30 days after delivery.",
        "how long do I have for a return",
        "Returns are possible for 14 days after delivery.",
    ),
    (
        "How many GB does the free plan have?",
        "The Free plan has 10 GB.",
        "storage in the free plan?",
        "The free plan includes 5 GB of storage.",
    ),
    (
        "Where are my invoices?",
        "You find your invoices under Billing > Invoices.",
        "how can i see an invoice",
        "You find your invoices under Settings > Invoices.",
    ),
    (
        "What do you charge for a repair?",
        "A repair costs $59 per hour.",
        "how expensive is a repair",
        "A repair costs $49 per hour.",
    ),
    (
        "when can i cancel",
        "You can cancel with 1 month's notice.",
        "How much notice do I have to give to cancel?",
        "You can cancel with 3 months' notice.",
    ),
    (
        "Is there a discount for students?",
        "Yes, students get 20%.",
        "do students get a discount",
        "Students get 10% off.",
    ),
    (
        "What's the minimum order?",
        "The minimum order is $30.",
        "is there a minimum order value?",
        "The minimum order value is $20.",
    ),
    (
        "Which documents do I need?",
        "You need form B-12.",
        "what documents are needed?",
        "You need form A-7.",
    ),
    (
        "Can I change the delivery address?",
        "Yes, within 2 hours of ordering, under Orders > Address.",
        "how can i edit the address of my delivery",
        "Yes, within 30 minutes of ordering, under Orders > Address.",
    ),
)
COMPATIBLE = (
    (
        "How long does delivery to York take?",
        "Delivery takes 5 days.",
        "How long does delivery to Leeds take?",
        "Delivery takes 3 days.",
    ),
    (
        "how long does delivery to york take",
        "It takes 5 days.",
        "how long does delivery to leeds take",
        "It takes 3 days.",
    ),
    (
        "how long does the delivery of my parcel take to york",
        "Delivery takes 5 days.",
        "how long does the delivery of my parcel take to leeds",
        "Delivery takes 3 days.",
    ),
    (
        "when will it get to york?",
        "Delivery to York takes 5 days.",
        "how long is shipping to leeds",
        "Delivery to Leeds takes 3 days.",
    ),
    (
        "What does error E-408 mean?",
        "It means the filter is full; wait 10 minutes.",
        "What does error E-407 mean?",
        "It means the filter is full; wait 5 minutes.",
    ),
    (
        "what does e408 mean",
        "Wait 10 minutes.",
        "what does e407 mean",
        "Wait 5 minutes.",
    ),
    (
        "How much is the Pro plan?",
        "It costs $29 per month.",
        "How much is the Basic plan?",
        "It costs $9 per month.",
    ),
    (
        "how much is the pro plan",
        "It costs $29 per month.",
        "what does the basic plan cost",
        "It costs $9 per month.",
    ),
    (
        "how much is the pro plan",
        "The Pro plan costs $29 per month.",
        "what does the basic plan cost",
        "The Basic plan costs $9 per month.",
    ),
    (
        "How long do I have to return something?",
        "You can return it within 30 days.",
        "until when can I return it?",
        "You can return it within 30 days of delivery.",
    ),
    (
        "How long does a refund take?",
        "A refund takes 5 days.",
        "How long does an exchange take?",
        "An exchange takes 7 days.",
    ),
    (
        "how long does a refund take",
        "It takes 5 days.",
        "how long does an exchange take",
        "It takes 7 days.",
    ),
    (
        "How long does a refund take?",
        "It takes 5 days.",
        "How long does delivery take?",
        "It takes 3 days.",
    ),
    (
        "How long is the warranty?",
        "The warranty lasts 3 years.",
        "How long can I return it?",
        "You can return it within 14 days.",
    ),
    (
        "Where do I see my invoices?",
        "You find them under Settings > Billing.",
        "Where do I change my password?",
        "You find it under Settings > Security.",
    ),
    (
        "How do I reset my password?",
        "Open Settings > Security.",
        "How do I change my address?",
        "Open Settings > Profile.",
    ),
    (
        "How do I add a user?",
        "Open Team > Users and choose Add.",
        "How do I remove a user?",
        "Open Team > Users and choose Remove.",
    ),
    (
        "How do I export my data?",
        "Open Settings > Export and wait 10 minutes.",
        "How do I import my data?",
        "Open Settings > Import and wait 5 minutes.",
    ),
    (
        "Can I return shoes?",
        "Yes, within 14 days.",
        "Can I return gift cards?",
        "No, gift cards cannot be returned.",
    ),
    (
        "Can I return sale items?",
        "No, sale items cannot be returned.",
        "Can I return an item?",
        "Yes, you can return items within 14 days.",
    ),
    (
        "How much is express delivery?",
        "Express delivery costs £9.",
        "How much is standard delivery?",
        "Standard delivery costs £4.",
    ),
    (
        "how much is express delivery",
        "Express delivery costs £9.",
        "how much is delivery",
        "Delivery costs £4.",
    ),
    (
        "Do you ship to Norway?",
        "No, we do not ship to Norway.",
        "Do you ship to Sweden?",
        "Yes, we ship to Sweden.",
    ),
    (
        "What is the fee for a late payment?",
        "A late payment costs $12.",
        "What is the fee for a failed payment?",
        "A failed payment costs $7.",
    ),
    (
        "When are you open on weekends?",
        "We are open from 10:00 to 14:00 on weekends.",
        "When are you open on weekdays?",
        "We are open from 9:00 to 18:00 on weekdays.",
    ),
    (
        "How many devices can I use?",
        "You can use 5 devices.",
        "How many users can I add?",
        "You can add 10 users.",
    ),
    (
        "How long do I have to return it?",
        "You can return it within 14 days.",
        "can i return it after 14 days",
        "No, you cannot return it after 14 days.",
    ),
    (
        "How do I contact sales?",
        "Write to sales@acme.example.",
        "How do I contact support?",
        "Write to support@acme.example.",
    ),
    (
        "How long does it take to charge the Nimbus 3?",
        "It takes 2 hours.",
        "How long does it take to charge the Nimbus 4?",
        "It takes 3 hours.",
    ),
    (
        "How long is the warranty of the Nimbus kettle?",
        "The warranty lasts 2 years.",
        "How long is the warranty of the Orion kettle?",
        "The warranty lasts 3 years.",
    ),
    (
        "How do I track order A-4471?",
        "It arrives in 2 days.",
        "How do I track order A-4472?",
        "It arrives in 4 days.",
    ),
    (
        "What is the maximum file size?",
        "You can upload files of up to 25 MB.",
        "How many files can I upload?",
        "You can upload up to 10 files.",
    ),
    (
        "How long do you keep my data?",
        "We keep your data for 90 days.",
        "How long do you keep my invoices?",
        "We keep your invoices for 10 years.",
    ),
    (
        "What's the price of a second key?",
        "A second key costs $15.",
        "What's the price of a lost key?",
        "A lost key costs $45.",
    ),
    (
        "What is the minimum order value?",
        "The minimum order value is $20.",
        "What is the maximum order value?",
        "The maximum order value is $500.",
    ),
    (
        "How long is the trial?",
        "The trial lasts 14 days.",
        "How long is the notice period?",
        "The notice period is 30 days.",
    ),
    (
        "Can I pause my subscription?",
        "Yes, for up to 3 months, under Billing > Pause.",
        "Can I cancel my subscription?",
        "Yes, at any time, under Billing > Cancel.",
    ),
    (
        "What does the installation cost?",
        "The installation costs $99.",
        "How much is a repair?",
        "A repair costs $49 per hour.",
    ),
    (
        "when does my refund arrive",
        "It takes 5 days.",
        "when does my parcel arrive, i need it",
        "It takes 3 days.",
    ),
    (
        "What is the late fee for returns?",
        "The late fee is $5.",
        "How long is the return period?",
        "The return period is 30 days.",
    ),
    (
        "How long can I return shoes from the outlet?",
        "Outlet shoes can be returned within 7 days.",
        "How long can I return something?",
        "You can return any product within 14 days.",
    ),
    (
        "How much storage does the free version have?",
        "The free version has 5 GB of storage.",
        "How much storage does the paid version have?",
        "The paid version has 100 GB of storage.",
    ),
    (
        "When do you deliver on Saturdays?",
        "We deliver from 9:00 to 12:00.",
        "When do you deliver?",
        "We deliver from 8:00 to 20:00.",
    ),
    (
        "who do i write to about an invoice",
        "Write to billing@acme.example.",
        "who do i write to about a broken device",
        "Write to repair@acme.example.",
    ),
    (
        "How do I log in with SSO?",
        "Choose Single sign-on and enter ACME-1.",
        "How do I log in with a password?",
        "Choose Password and enter 8 characters.",
    ),
    (
        "How long does charging take?",
        "Charging takes 2 hours.",
        "How long does the battery last?",
        "The battery lasts 9 hours.",
    ),
    (
        "What is the interest rate?",
        "The interest rate is 4%.",
        "What is the discount for students?",
        "Students get a discount of 15%.",
    ),
    (
        "What discount do students get?",
        "Students get 15%.",
        "What discount do seniors get?",
        "Seniors get 10%.",
    ),
    (
        "How long is my quote valid?",
        "A quote is valid for 30 days.",
        "how long is a voucher valid",
        "A voucher is valid for 3 years.",
    ),
    (
        "Is my voucher still valid after a year?",
        "A voucher is valid for 3 years.",
        "how long is my quote valid",
        "A quote is valid for 30 days.",
    ),
    (
        "Can I bring my dog to the shop?",
        "Yes, dogs are welcome.",
        "Can I bring my bike to the shop?",
        "No, bikes are not allowed.",
    ),
    (
        "How many seats can I book at once?",
        "You can book 8 seats at once.",
        "How far ahead can I book?",
        "You can book 60 days ahead.",
    ),
    (
        "How long until I get a reply from support?",
        "We reply within 24 hours.",
        "How long does a repair take?",
        "A repair takes 7 days.",
    ),
    (
        "I got error 139, what now?",
        "Error 139 means that the self-check failed. Unplug it for 49 minutes and start it again.",
        "what is kce 0627",
        "Error kce 0627 means that the self-check failed. Unplug it for 50 minutes and start it again.",
    ),
)


@pytest.mark.parametrize(("question", "reply", "older_question", "older_reply"), CONTRADICTING)
def test_another_answer_to_the_same_question_contradicts_however_it_is_worded(
    question: str, reply: str, older_question: str, older_reply: str
) -> None:
    assert contradicts(Statement(question, reply), Statement(older_question, older_reply))


@pytest.mark.parametrize(("question", "reply", "older_question", "older_reply"), COMPATIBLE)
def test_what_is_asked_about_something_else_or_states_the_same_contradicts_nothing(
    question: str, reply: str, older_question: str, older_reply: str
) -> None:
    assert not contradicts(Statement(question, reply), Statement(older_question, older_reply))


@pytest.mark.parametrize(("question", "reply", "older_question", "older_reply"), CONTRADICTING)
def test_no_answer_contradicts_itself(question: str, reply: str, older_question: str, older_reply: str) -> None:
    assert not contradicts(Statement(question, reply), Statement(question, reply))
    assert not contradicts(Statement(question, reply), Statement(older_question, reply))


def test_the_same_time_in_another_unit_is_no_contradiction() -> None:
    newer = Statement("how long can I return it", "You can return it within two weeks.")
    assert not contradicts(newer, Statement("how long may I return it", "You can return it within 14 days."))
    assert contradicts(newer, Statement("how long may I return it", "You can return it within 15 days."))


def test_the_name_in_the_system_message_is_not_asked_about() -> None:
    told = "You are Ada, the support assistant of Acme."
    newer = Statement("What is the return policy of Acme?", "You can return products within 30 days.", told=told)
    assert contradicts(newer, Statement("what's your return policy", "You can return products within 14 days.", told=told))


def test_a_follow_up_asks_about_what_the_conversation_is_about() -> None:
    def follow_up(city: str, days: int) -> Statement:
        return Statement("and how long does that take?", f"Delivery takes {days} days.", before=(f"Do you deliver to {city}?",))

    assert not contradicts(follow_up("York", 5), follow_up("Leeds", 3))
    assert contradicts(follow_up("Leeds", 5), follow_up("Leeds", 3))


def test_in_conversations_the_same_short_question_may_be_about_anything() -> None:
    newer = Statement("how long is the warranty", "3 years.", before=("I want to buy a kettle",))
    assert not contradicts(newer, Statement("how long is the warranty", "2 years.", before=("I want to buy a phone",)))


def test_no_two_topics_of_the_corpus_contradict_each_other(corpus: Corpus) -> None:
    rng = Random(7)
    asked = [(intent.id, Composer(corpus, rng, held_out=False).add_named_question(intent)) for intent in corpus.intents.values()]
    stated = [(topic, Statement(turn.user, turn.reply)) for topic, turn in asked]
    assert not [(one, other) for topic, one in stated for about, other in stated if topic != about and contradicts(one, other)]
