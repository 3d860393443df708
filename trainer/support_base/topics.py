"""What each token has to do with: vectors that pretraining starts from, so that words of one matter are alike before the first step.

A bag-of-words classifier (fastText, arXiv 1607.01759) learns in half a minute which words go with which topic, and says the topic of
a wording that it never met more often than a base of random first vectors after a whole build: such a base tells wordings apart by
heart. Questions, answers and passages of a topic count as one, so that they are alike, too.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from trainer.support_base.corpus import FOLLOW_UPS, Corpus
from trainer.support_base.dialogues import Composer
from trainer.support_base.voice import Voice

_PASSES = 4
_BATCH = 128
_RATE = 4e-3  # of the classifier; the vectors, each of which few texts hold, take twice as much
_DROPPED = 0.25  # of the tokens of a text, at random: no single word may tell a topic alone
_SHARPNESS = 4.0
_NO_TOPIC = "refusal"


def learn_topics(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, width: int, *, texts: int, seed: int) -> Tensor:
    """Return a vector for every token, shape (vocabulary, width), no longer than 1; a word's is the same in upper and lower case.

    It is learned from this many `texts`.
    """
    torch.manual_seed(seed)
    drawn = list(islice(draw_texts(corpus, Random(f"topics:{seed}")), texts))
    topics = {topic: number for number, topic in enumerate(dict.fromkeys(topic for _, topic in drawn))}
    words, count = _words_of(tokenizer)
    encoded = tokenizer([text for text, _ in drawn], add_special_tokens=False)["input_ids"]
    bags = [words[torch.tensor(ids)] for ids in encoded]
    wanted = torch.tensor([topics[topic] for _, topic in drawn])
    vectors, classify = nn.EmbeddingBag(count, width, mode="mean"), nn.Linear(width, len(topics))
    nn.init.zeros_(vectors.weight)  # a token that no text holds has no topic
    rates = [2 * _RATE, _RATE]
    optimizer = torch.optim.Adam([{"params": vectors.parameters(), "lr": rates[0]}, {"params": classify.parameters(), "lr": rates[1]}])
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=_PASSES * -(-len(bags) // _BATCH))
    for _ in range(_PASSES):
        for batch in torch.split(torch.randperm(len(bags)), _BATCH):
            kept = [_drop(bags[index]) for index in batch.tolist()]
            starts = torch.tensor([0, *(len(bag) for bag in kept[:-1])]).cumsum(0)
            scores = classify(_SHARPNESS * vectors(torch.cat(kept), starts))
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(scores, wanted[batch]))
            optimizer.step()
            schedule.step()
    learned = vectors.weight.detach()[words]
    lengths = learned.norm(dim=1, keepdim=True)
    found: Tensor = learned / lengths.clamp(min=float(lengths.mean()))  # a longer one would drown what tells its token from others
    return found


def draw_texts(corpus: Corpus, rng: Random) -> Iterator[tuple[str, str]]:
    """Draw, without end, texts of pretraining and the topic of each."""
    intents, small_talk = tuple(corpus.intents.values()), tuple(corpus.small_talk)
    knowledge = corpus.knowledge_of(held_out=False)
    while True:
        composer, voice, roll = Composer(corpus, rng, held_out=False), Voice(corpus, rng, held_out=False), rng.random()
        if roll < 0.6:
            turn = composer.add_question(rng.choice(intents))
            yield turn.user, turn.topic
            if rng.random() < 0.15:
                yield turn.reply[turn.core_at :], turn.topic
        elif roll < 0.68:
            intent = rng.choice(intents)
            yield voice.fill(rng.choice(intent.passages), {})[0], intent.id
        elif roll < 0.78:
            topic = rng.choice(knowledge)
            asked = voice.type_question(rng.choice(topic.questions)).text if rng.random() < 0.6 else rng.choice(topic.passages)
            yield voice.fill(asked, {})[0], topic.kind
        elif roll < 0.83:
            kind = rng.choice(FOLLOW_UPS)
            yield voice.fill(voice.type_follow_up(kind, None).text, {})[0], kind
        elif roll < 0.92:
            turn = composer.add_small_talk(rng.choice(small_talk))
            yield turn.user, turn.topic
        else:
            yield composer.add_out_of_scope().user, _NO_TOPIC


def _words_of(tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, int]:
    """Number the tokens so that those which differ only in case, or in a blank before them, share a number; return how many there are."""
    numbers: dict[str, int] = {}
    plain = (token.removeprefix("Ġ").lower() for token in tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    return torch.tensor([numbers.setdefault(word, len(numbers)) for word in plain]), len(numbers)


def _drop(bag: Tensor) -> Tensor:
    kept = bag[torch.rand(len(bag)) >= _DROPPED]
    return kept if len(kept) else bag
