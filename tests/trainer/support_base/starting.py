"""The base as pretraining starts from it, for tests."""

from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from trainer.support_base.corpus import Corpus
from trainer.support_base.plan import Plan
from trainer.support_base.pretrain import build_model, shape_base
from trainer.support_base.priming import topic_width
from trainer.support_base.topics import learn_topics


def start_base(corpus: Corpus, tokenizer: PreTrainedTokenizerFast, plan: Plan) -> LlamaForCausalLM:
    """Create the model, its topics learned from as many texts as the plan says."""
    config = shape_base(tokenizer)
    topics = learn_topics(corpus, tokenizer, topic_width(config), texts=plan.topic_texts, seed=plan.seed)
    return build_model(config, topics, seed=plan.seed)
