from pathlib import Path

import pytest

from assistant.engine.base_model import load_base_model
from feedback_db.recipe import Recipe
from trainer import preflight
from trainer.errors import PreflightError
from trainer.finetune import add_adapter
from trainer.preflight import check_room, count_adapter_numbers


def test_the_size_of_an_adapter_is_foreseen(tiny_base: Path) -> None:
    base = load_base_model(tiny_base, device="cpu")
    foreseen = count_adapter_numbers(base, Recipe(rank=4))
    assert foreseen == sum(value.numel() for name, value in add_adapter(base.model, Recipe(rank=4)).named_parameters() if "lora_" in name)


def test_a_small_base_has_room(tiny_base: Path, tmp_path: Path) -> None:
    check_room(load_base_model(tiny_base, device="cpu"), Recipe(), tmp_path)


def test_too_little_memory_and_disk_are_both_told(tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = preflight.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    monkeypatch.setattr(preflight, "_free_memory", lambda _: 2_000_000.0)
    with pytest.raises(PreflightError, match=r"1 MB of disk are free, and \d+ MB are needed; 2 MB of memory are free"):
        check_room(load_base_model(tiny_base, device="cpu"), Recipe(), tmp_path)
