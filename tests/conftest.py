"""What several test modules share: tiny random models on disk, the corpus, the bundled base. Imports torch only where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assistant.libraries import prepare_libraries

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedTokenizerFast

    from assistant.engine.base_model import BaseModel
    from trainer.support_base.corpus import Corpus


def pytest_configure() -> None:
    """Begin as every process of ours does."""
    prepare_libraries()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the browser tests keep pictures of what they see."""
    parser.addoption("--screenshots", default=None, help="A folder for pictures of the pages that the browser tests look at.")


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    from trainer.support_base.corpus import load_corpus

    return load_corpus()


@pytest.fixture(scope="session")
def tokenizer(corpus: Corpus) -> PreTrainedTokenizerFast:
    """A small tokenizer with the base's chat template."""
    from trainer.support_base.tokenizer import train_tokenizer

    texts = [question for intent in corpus.intents.values() for question in intent.questions]
    return train_tokenizer(texts, max_length=2048)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A random Llama on disk, the same in every session, some 0.6 M parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny_base")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bundled_base() -> BaseModel:
    """The bundled base; a test that asks for it is skipped where the folder is not there."""
    from assistant.engine.base_model import load_base_model
    from assistant.errors import BundledBaseMissingError

    try:
        return load_base_model()
    except BundledBaseMissingError as error:
        pytest.skip(str(error))
