"""llama.cpp as a peer of `serving`: a Llama and its adapter in GGUF, four bits a weight, all people in one batch.

What its server does at each step, without a server between: several sequences in one context, decoded together. It needs
`pip install llama-cpp-python gguf`; the comparison goes without it where they are not there.
"""

import ctypes
import importlib.util
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

_BATCH = 512  # tokens in one pass, llama.cpp's own default
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_WHOLE = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def is_installed() -> bool:
    """Say whether llama.cpp is there to compare with."""
    return all(importlib.util.find_spec(name) is not None for name in ("llama_cpp", "gguf"))


def write_model(base: Path, target: Path, *, four_bit: bool) -> Path:
    """Write a Llama of transformers as GGUF, in float32, or as llama.cpp quantises it to Q4_0."""
    import gguf
    import llama_cpp
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base).float()
    config = model.config
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("no_vocab")
    for name, value in model.state_dict().items():
        found = value.numpy()
        kind = name.rsplit(".", 2)[-2]
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(kind)
        writer.add_tensor(_rename(name), _interleave(found, heads) if heads else found)
    _finish(writer)
    if not four_bit:
        return target
    smaller = target.with_suffix(".q4_0.gguf")
    settings = llama_cpp.llama_model_quantize_default_params()
    settings.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_0
    if llama_cpp.llama_model_quantize(str(target).encode(), str(smaller).encode(), ctypes.byref(settings)) != 0:
        raise RuntimeError("expected llama.cpp to quantise the model, found that it could not")
    return smaller


def write_adapter(adapter: Path, base: Path, target: Path) -> Path:
    """Write an adapter of peft as GGUF."""
    import gguf
    from safetensors.numpy import load_file
    from transformers import AutoConfig

    config, settings = AutoConfig.from_pretrained(base), json.loads((adapter / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", settings["lora_alpha"])
    for name, value in load_file(adapter / "adapter_model.safetensors").items():
        layer, side = name.removeprefix("base_model.model.").removesuffix(".weight").rsplit(".lora_", 1)
        kind = layer.rsplit(".", 1)[-1]
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(kind) if side == "B" else None
        found = value.astype(np.float32)
        writer.add_tensor(f"{_rename(layer + '.weight')}.lora_{side.lower()}", _interleave(found, heads) if heads else found)
    _finish(writer)
    return target


class LlamaCpp:
    """A model and its adapter in llama.cpp. Answers greedily; nothing ends a reply early."""

    def __init__(self, model: Path, adapter: Path, *, people: int, tokens_each: int) -> None:
        import llama_cpp

        self._api = llama_cpp
        self._log = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = llama_cpp.llama_model_load_from_file(str(model).encode(), llama_cpp.llama_model_default_params())
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx, settings.n_seq_max, settings.n_batch, settings.n_ubatch = people * tokens_each, people, _BATCH, _BATCH
        settings.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self._model, settings)
        loaded = llama_cpp.llama_adapter_lora_init(self._model, str(adapter).encode())
        adapters, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(loaded), (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(self._context, adapters, 1, scales) != 0:
            raise RuntimeError("expected llama.cpp to take the adapter, found that it did not")
        self._vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self._model))
        self._batch = llama_cpp.llama_batch_init(_BATCH, 0, 1)

    def answer(self, prompts: list[list[int]], tokens: int, threads: int) -> tuple[list[float], list[list[int]]]:
        """Return the seconds to each first token, and the tokens of each reply."""
        self._api.llama_set_n_threads(self._context, threads, threads)
        self._api.llama_memory_clear(self._api.llama_get_memory(self._context), True)
        started = time.perf_counter()
        first, said = [0.0] * len(prompts), [list[int]() for _ in prompts]
        asked = [(row, place, ids[place], place == len(ids) - 1) for row, ids in enumerate(prompts) for place in range(len(ids))]
        for begin in range(0, len(asked), _BATCH):
            for row, token in self._decode(asked[begin : begin + _BATCH]):
                first[row] = time.perf_counter() - started
                said[row].append(token)
        for number in range(tokens - 1):
            for row, token in self._decode([(row, len(ids) + number, said[row][-1], True) for row, ids in enumerate(prompts)]):
                said[row].append(token)
        return first, said

    def close(self) -> None:
        """Free what it holds."""
        self._api.llama_batch_free(self._batch)
        self._api.llama_free(self._context)
        self._api.llama_model_free(self._model)

    def _decode(self, entries: list[tuple[int, int, int, bool]]) -> list[tuple[int, int]]:
        """Read tokens, each as (row, place, token, whether its successor is wanted); return the successors as (row, token)."""
        batch = self._batch
        batch.n_tokens = len(entries)
        for number, (row, place, token, is_wanted) in enumerate(entries):
            batch.token[number], batch.pos[number], batch.logits[number] = token, place, is_wanted
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, row
        if self._api.llama_decode(self._context, batch) != 0:
            raise RuntimeError("expected llama.cpp to decode, found that it did not")
        return [(entry[0], self._choose(number)) for number, entry in enumerate(entries) if entry[3]]

    def _choose(self, number: int) -> int:
        logits = self._api.llama_get_logits_ith(self._context, number)
        return int(np.ctypeslib.as_array(logits, shape=(self._vocabulary,)).argmax())


def _rename(name: str) -> str:
    """Return what GGUF calls a weight of a Llama of transformers."""
    if name in _WHOLE:
        return _WHOLE[name]
    number, layer = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
    return f"blk.{number}.{_NAMES[layer]}.weight"


def _interleave(weight: np.ndarray, heads: int) -> np.ndarray:
    """Return the lines of queries or keys as GGUF rotates them: a half's numbers beside the other half's, not after them."""
    halves = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(weight.shape))


def _finish(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
