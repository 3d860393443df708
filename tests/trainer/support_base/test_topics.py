from collections import Counter
from itertools import islice
from random import Random

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from trainer.support_base.corpus import Corpus
from trainer.support_base.topics import draw_texts, learn_topics


def likeness(tokenizer: PreTrainedTokenizerFast, vectors: Tensor, one: str, other: str) -> float:
    first, second = (vectors[tokenizer.convert_tokens_to_ids(f"Ġ{word}")] for word in (one, other))
    return float(torch.cosine_similarity(first, second, dim=0))


def test_words_of_one_matter_are_alike(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    vectors = learn_topics(corpus, tokenizer, 32, texts=4000, seed=1)
    assert vectors.shape == (len(tokenizer), 32)
    assert float(vectors.norm(dim=1).max()) <= 1.0 + 1e-5
    assert likeness(tokenizer, vectors, "invoice", "invoices") > 0.5 > likeness(tokenizer, vectors, "invoice", "battery")


def test_a_word_is_the_same_in_upper_and_lower_case(corpus: Corpus, tokenizer: PreTrainedTokenizerFast) -> None:
    vectors = learn_topics(corpus, tokenizer, 8, texts=300, seed=1)
    assert torch.equal(*(vectors[tokenizer.convert_tokens_to_ids(token)] for token in ("Ġwhere", "where")))


def test_texts_have_every_topic_and_no_held_out_one(corpus: Corpus) -> None:
    drawn = Counter(topic for _, topic in islice(draw_texts(corpus, Random(1)), 6000))
    assert set(corpus.intents) | set(corpus.small_talk) <= set(drawn)
    assert not {topic.id for topic in corpus.knowledge_of(held_out=True)} & set(drawn)


def test_no_text_has_an_open_slot(corpus: Corpus) -> None:
    assert all(text and "{" not in text for text, _ in islice(draw_texts(corpus, Random(2)), 3000))
