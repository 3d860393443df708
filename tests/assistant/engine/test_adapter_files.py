import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.engine.adapter_files import CARD, CONFIG, MANIFEST, WEIGHTS, Adapter, Lineage, hash_file, verify_adapter, write_adapter
from assistant.errors import AdapterCorruptError, AdapterRefusedError

LINEAGE = Lineage(
    base="tiny",
    revision="abc",
    quantisation="nf4",
    template_hash="t",
    system_message=None,
    run_id="r1",
    snapshot_id="s1",
    recipe={"rank": 2},
)
TENSORS = {"model.q.lora_A.weight": torch.ones(2, 64), "model.q.lora_B.weight": torch.zeros(64, 2)}
SETTINGS = {"peft_type": "LORA", "r": 2, "bias": "none", "use_dora": False, "modules_to_save": None}


def write(folder: Path, tensors: dict[str, torch.Tensor] = TENSORS, **settings: object) -> Adapter:
    def write_files(aside: Path) -> None:
        save_file({name: tensor.clone() for name, tensor in tensors.items()}, aside / WEIGHTS)
        (aside / CONFIG).write_text(json.dumps({**SETTINGS, **settings}))
        (aside / CARD).write_text("# Card\n")

    return write_adapter(folder, write_files, LINEAGE)


def sign(folder: Path) -> None:
    """Make the manifest agree with the files as they are now, as somebody who means harm would."""
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"] = {name: hash_file(folder / name) for name in (WEIGHTS, CONFIG, CARD)}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def test_what_was_written_is_verified_and_tells_where_it_comes_from(tmp_path: Path) -> None:
    written = write(tmp_path / "adapter")
    assert verify_adapter(tmp_path / "adapter", revision="abc") == written
    assert (written.lineage, written.rank) == (LINEAGE, 2)


def test_a_crash_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    write(tmp_path / "adapter")

    def fail(aside: Path) -> None:
        (aside / WEIGHTS).write_bytes(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_adapter(tmp_path / "adapter", fail, LINEAGE)
    assert verify_adapter(tmp_path / "adapter").rank == 2


def cut(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def cut_and_sign(folder: Path) -> None:
    cut(folder)
    sign(folder)


def drop_half(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    save_file({"model.q.lora_A.weight": tensors["model.q.lora_A.weight"]}, folder / WEIGHTS)
    sign(folder)


def put_nan(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["model.q.lora_B.weight"][3, 1] = float("nan")
    save_file(tensors, folder / WEIGHTS)
    sign(folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (cut, "adapter_model.safetensors is missing, cut short or changed"),
        (cut_and_sign, "adapter_model.safetensors cannot be read"),
        (drop_half, "1 tensors are missing or too many, among them model.q.lora_B.weight"),
        (put_nan, "model.q.lora_B.weight holds numbers that are not finite"),
        (lambda folder: (folder / WEIGHTS).unlink(), "adapter_model.safetensors is missing"),
        (lambda folder: (folder / CONFIG).write_text("{}"), "adapter_config.json is missing, cut short or changed"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "manifest.json cannot be read"),
        (lambda folder: (folder / MANIFEST).write_text('{"shape": 1, "files": {"adapter_model.bin": "x"}}'), "names adapter_model.bin"),
    ],
)
def test_a_damaged_adapter_is_refused_in_a_sentence(tmp_path: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    write(tmp_path / "adapter")
    spoil(tmp_path / "adapter")
    with pytest.raises(AdapterCorruptError, match="Expected a whole adapter") as refused:
        verify_adapter(tmp_path / "adapter")
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"peft_type": "IA3"}, "it is no LoRA adapter"),
        ({"use_dora": True}, "it uses DoRA"),
        ({"bias": "all"}, "it trains biases"),
        ({"modules_to_save": ["lm_head"]}, "it replaces whole modules"),
        ({"r": 1000}, "its rank is not between 1 and 256"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path: Path, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(AdapterRefusedError, match=sentence):
        write(tmp_path / "adapter", **settings)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "adapter")
    with pytest.raises(AdapterRefusedError, match="it was trained on revision abc of tiny, and def is served"):
        verify_adapter(tmp_path / "adapter", revision="def")


def test_a_rank_that_the_tensors_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterCorruptError, match=r"model.q.lora_A.weight is of shape \(2, 64\), and the rank is 4"):
        write(tmp_path / "adapter", r=4)


def test_a_pickle_beside_the_weights_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.bin").write_bytes(b"\x80\x04harm")
    assert verify_adapter(tmp_path / "adapter").rank == 2
