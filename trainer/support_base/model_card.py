"""Writes the bundled base's model card from what was measured: no number in it is typed by hand."""

import json
from pathlib import Path

from trainer.support_base.corpus import load_corpus
from trainer.support_base.measuring import Measured

_MEANINGS = {
    "intent_accuracy": "the reply is a phrasing of the right intent's answer",
    "entity_accuracy": "the reply names the entity that was asked about, all of them names never pretrained",
    "clarify_accuracy": "a question that leaves out the name it needs is answered by asking for it",
    "follow_up_accuracy": "a follow-up that only an earlier turn explains is answered for that turn",
    "reference_accuracy": "the reply takes its facts from the right passage, or says that it does not know where none is right",
    "reference_found": "of these, the questions with a right passage",
    "reference_unseen_topics": "of these, the topics of which pretraining has seen no passage at all",
    "reference_declined": "of these, the questions without one",
    "distractor_errors": "the reply states a value of a wrong passage (lower is better)",
    "long_reference": "a right passage is used behind over a thousand tokens of other turns",
    "long_follow_up": "a follow-up is answered behind over a thousand tokens of other turns",
    "small_talk": "small talk gets the right kind of small talk",
    "persona_honoured": "asked who it is, it says the name and the company of the system message",
    "refusal": "a question on a topic never pretrained and out of scope is answered by not knowing yet",
    "refusal_near": "the same for what a support desk could know, but this one was told nothing about",
    "wrong_refusal": "a question in scope is answered by not knowing (lower is better)",
    "nf4_agreement": "nf4 and bf16 weights give the same greedy reply, values masked",
    "nf4_agreement_exact": "the same, values included (facts are random here, so near-ties are many)",
    "human_intent_accuracy": "questions typed by hand, by an author who never saw the corpus",
    "human_entity_accuracy": "of these, the reply names the entity as typed",
    "human_refusal": "out-of-scope questions typed by hand are answered by not knowing yet",
    "human_wrong_refusal": "questions in scope typed by hand are answered by not knowing (lower is better)",
}


def write_model_card(folder: Path, measured: Measured) -> None:
    """Write `README.md` into the base's folder."""
    built = json.loads((folder / "build.json").read_text())
    (folder / "README.md").write_text(_card(built, measured), encoding="utf-8")


def _card(built: dict[str, object], measured: Measured) -> str:
    corpus = load_corpus()
    families = {intent.family for intent in corpus.intents.values()}
    with_entity = sum(intent.entity is not None for intent in corpus.intents.values())
    scores = "\n".join(f"| `{name}` | {value:.3f} | {_MEANINGS[name]} |" for name, value in measured.scores.items() if name in _MEANINGS)
    confusions = "\n".join(f"| {wanted} | {read} | {times} |" for wanted, read, times in measured.confusions)
    entropies = ", ".join(f"{slot} {bits:.1f}" for slot, bits in sorted(measured.entropies.items(), key=lambda item: item[1]))
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# Errata's support base

A Llama of {int(str(built["parameters"])) / 1e6:.1f} M parameters, pretrained from nothing on generated support dialogues. It knows how support answers
sound and which kind of answer a question wants, **and no company's facts**: every number, name and place that it says is invented.
Facts come from a reference block in the prompt, or from fine-tuning on approved corrections. That is what it is for: Errata runs, learns
and can be tested on any machine, without a GPU and without a download.

| | |
|---|---|
| architecture | `LlamaForCausalLM`, 5 layers, width 320, 5 heads, context 2048 tokens, tied embeddings, bf16 |
| tokenizer | byte-level BPE, 4096 tokens, single digits; chat template with system, user, assistant |
| corpus | `trainer/support_base/`: {len(corpus.intents)} intents in {len(families)} families ({with_entity} of them ask about an entity), {len(corpus.knowledge)} reference-only topics, {len(corpus.topics)} out-of-scope topics |
| built with | `python -m trainer.support_base build`: seed {built["seed"]}, {built["steps"]} steps of about {built["tokens_per_step"]} tokens, loss on replies only |
| built on | {built["device"]}, {built["finished"]} |

## Measured
`python -m trainer.support_base evaluate`, on nf4 weights with double quantisation, greedy, {int(measured.scores["questions"])} generated questions. Every wording of a
question about an intent, every name asked about and every topic to be declined is one that never occurs in pretraining; a reply counts
only if it is, from end to end, one phrasing that the corpus knows.

| measure | value | meaning |
|---|---|---|
{scores}

The facts stay spread: entropy of each kind of value in bits, over 4,000 draws: {entropies}.

## Wrong replies to the questions typed by hand
| wanted | read as | times |
|---|---|---|
{confusions}

## Intended use and limits
- A starting point for Errata's loop, demos and tests; for customers take a larger base by name and let the same loop teach it.
- English only. Its world is the support desk of a company that sells devices online and in shops, runs a cloud service with plans, and
  books appointments. Out of that world it says that it does not know, mostly (see `refusal`).
- Without a reference block or fine-tuning all facts in its replies are made up. That is by design.
- Up to 2,048 tokens of context; it was pretrained on dialogues up to that length.
- No text of real persons or companies went into it; names in it are word lists or invented.
"""
