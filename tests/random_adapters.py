"""Random adapters that change what a base says, for tests and benchmarks."""

from dataclasses import replace
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from assistant.engine.adapter_files import CARD, MANIFEST, Lineage, write_adapter
from assistant.engine.base_model import BaseModel
from assistant.engine.live import ServedRelease, make_bare_release
from feedback_db.files import hash_file


def write_random_adapter(folder: Path, base: BaseModel, config: LoraConfig, *, seed: int, scale: float) -> Path:
    """Write an adapter whose numbers spread by `scale`; return its folder."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.name), config)
    torch.manual_seed(seed)
    for name, value in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(value, std=scale)

    def write_files(aside: Path) -> None:
        model.save_pretrained(aside)
        (aside / CARD).write_text("# Card\n")

    lineage = Lineage(
        base=base.name,
        revision=base.revision,
        quantisation="nf4",
        template_hash="t",
        system_message=None,
        run_id="r",
        snapshot_id="s",
        recipe={},
    )
    return write_adapter(folder, write_files, lineage).folder


def describe_release(base: BaseModel, version: int, folder: Path) -> ServedRelease:
    """Return the release of a base with the adapter in a folder."""
    return replace(make_bare_release(base, version), adapter=folder, adapter_hash=hash_file(folder / MANIFEST))
