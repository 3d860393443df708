import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from assistant.engine.adapter_files import CARD, CONFIG, MANIFEST, WEIGHTS, Adapter, Lineage, verify_adapter, write_adapter
from assistant.errors import AdapterCorruptError, AdapterRefusedError
from feedback_db.files import hash_file

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
TENSORS = {"base_model.model.q.lora_A.weight": torch.ones(2, 64), "base_model.model.q.lora_B.weight": torch.zeros(64, 2)}
SETTINGS = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "use_dora": False, "modules_to_save": None}


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
    assert (written.lineage, written.rank, written.scale) == (LINEAGE, 2, 2.0)
    assert written.hash == hash_file(tmp_path / "adapter" / MANIFEST)


def test_what_is_returned_is_what_was_verified_whatever_becomes_of_the_folder(tmp_path: Path) -> None:
    verified = write(tmp_path / "adapter")
    put_nan(tmp_path / "adapter")
    assert list(verified.layers) == ["q"]
    assert all(map(torch.equal, verified.layers["q"], TENSORS.values()))


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
    save_file({"base_model.model.q.lora_A.weight": tensors["base_model.model.q.lora_A.weight"]}, folder / WEIGHTS)
    sign(folder)


def put_nan(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["base_model.model.q.lora_B.weight"][3, 1] = float("nan")
    save_file(tensors, folder / WEIGHTS)
    sign(folder)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (cut, "adapter_model.safetensors is cut short or changed"),
        (cut_and_sign, "adapter_model.safetensors cannot be read"),
        (drop_half, "1 tensors are missing or too many, among them base_model.model.q.lora_B.weight"),
        (put_nan, "base_model.model.q.lora_B.weight holds numbers that are not finite"),
        (lambda folder: (folder / WEIGHTS).unlink(), "adapter_model.safetensors is missing"),
        (lambda folder: (folder / CONFIG).write_text("{}"), "adapter_config.json is cut short or changed"),
        (lambda folder: (folder / MANIFEST).unlink(), "manifest.json is missing"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "manifest.json is no JSON"),
        (lambda folder: (folder / MANIFEST).write_text('{"shape": 1, "files": {"adapter_model.bin": "x"}}'), "names other files"),
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
        ({"peft_type": None}, "it is no LoRA adapter"),
        ({"use_dora": True}, "no plain LoRA adapter, as its 'use_dora' says"),
        ({"use_rslora": True}, "as its 'use_rslora' says"),
        ({"bias": "all"}, "as its 'bias' says"),
        ({"modules_to_save": ["lm_head"]}, "as its 'modules_to_save' says"),
        ({"layer_replication": [[0, 2], [1, 2]]}, "as its 'layer_replication' says"),
        ({"rank_pattern": {"q": 4}}, "as its 'rank_pattern' says"),
        ({"alpha_pattern": {"q": 400}}, "as its 'alpha_pattern' says"),
        ({"init_lora_weights": "pissa"}, "as its 'init_lora_weights' says"),
        ({"trainable_token_indices": [1]}, "as its 'trainable_token_indices' says"),
        ({"lora_bias": True}, "as its 'lora_bias' says"),
        ({"fan_in_fan_out": True}, "as its 'fan_in_fan_out' says"),
        ({"use_something_new": True}, "as its 'use_something_new' says"),
        ({"\ud800\n": 1}, r"as its '\\ud800\\n' says"),
        ({"r": 1000}, "its rank is not between 1 and 256"),
        ({"r": True}, "its rank is not"),
        ({"r": 2.0}, "its rank is not"),
        ({"r": None}, "its rank is not"),
        ({"r": [2]}, "its rank is not"),
        ({"lora_alpha": 0}, "its alpha is not between 0 and 1024"),
        ({"lora_alpha": 10**400}, "its alpha is not"),
        ({"lora_alpha": float("nan")}, "its alpha is not"),
        ({"lora_alpha": float("inf")}, "its alpha is not"),
        ({"lora_alpha": "4"}, "its alpha is not"),
        ({"lora_alpha": {}}, "its alpha is not"),
    ],
)
def test_an_adapter_of_another_kind_is_refused(tmp_path: Path, settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(AdapterRefusedError, match=sentence):
        write(tmp_path / "adapter", **settings)


def test_what_has_no_say_in_a_reply_is_not_asked_for(tmp_path: Path) -> None:
    settings = {"lora_dropout": 0.1, "target_modules": ["q"], "layers_to_transform": [0], "base_model_name_or_path": "x", "task_type": None}
    assert write(tmp_path / "adapter", **settings).rank == 2


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "null",
        "\ufeff{}",
        '"manifest"',
        DEEP,
        '{"shape": ' + DEEP + "}",
        '{"shape": NaN}',
        '{"shape": [1]}',
        '{"shape": 2}',
        '{"shape": 1' + "0" * 5000 + "}",
        '{"shape": 1}',
        '{"shape": 1, "files": ["adapter_model.safetensors", "adapter_config.json", "README.md"]}',
        '{"shape": 1, "files": [["adapter_model.safetensors"], {}]}',
        '{"shape": 1, "files": {"\\ud800": "x"}}',
        '{"shape": 1, "files": "README.md"}',
    ],
)
def test_a_manifest_that_no_training_wrote_is_refused_in_a_sentence(tmp_path: Path, manifest: str) -> None:
    write(tmp_path / "adapter")
    (tmp_path / "adapter" / MANIFEST).write_text(manifest)
    with pytest.raises((AdapterCorruptError, AdapterRefusedError), match="Expected a"):
        verify_adapter(tmp_path / "adapter", revision="abc")


@pytest.mark.parametrize(
    "part",
    [
        {"lineage": None},
        {"lineage": []},
        {"lineage": "abc"},
        {"lineage": {}},
        {"lineage": {**asdict(LINEAGE), "revision": ["abc"]}},
        {"lineage": {**asdict(LINEAGE), "base": None}},
        {"lineage": {**asdict(LINEAGE), "base": "\ud800"}},
        {"lineage": {**asdict(LINEAGE), "system_message": 1}},
        {"lineage": {**asdict(LINEAGE), "recipe": [1]}},
        {"lineage": {**asdict(LINEAGE), "more": "x"}},
        {"files": {WEIGHTS: None, CONFIG: 1, CARD: []}},
    ],
)
def test_a_manifest_with_a_part_of_another_type_is_refused_in_a_sentence(tmp_path: Path, part: dict[str, object]) -> None:
    write(tmp_path / "adapter")
    manifest = tmp_path / "adapter" / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **part}))
    with pytest.raises(AdapterCorruptError, match="Expected a whole adapter"):
        verify_adapter(tmp_path / "adapter", revision="abc")


@pytest.mark.parametrize("config", [b"", b"[]", b"null", b"1", b"NaN", b"\xff\xfe", b'{"r": ' + b"1" * 5000 + b"}", DEEP.encode()])
def test_a_configuration_that_is_no_object_is_refused_in_a_sentence(tmp_path: Path, config: bytes) -> None:
    write(tmp_path / "adapter")
    (tmp_path / "adapter" / CONFIG).write_bytes(config)
    sign(tmp_path / "adapter")
    with pytest.raises(AdapterCorruptError, match=f"{CONFIG} is no JSON"):
        verify_adapter(tmp_path / "adapter")


def declare(dtype: str, shape: list[int], size: int) -> bytes:
    """Build a file of one tensor with what its header says of it."""
    header = json.dumps({"base_model.model.q.lora_A.weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


@pytest.mark.parametrize(
    "weights", [b"", b"x" * 100, declare("F4", [4], 2), declare("F32", [0, 2**64 - 1], 0), declare("F32", [-1], 4), declare("F32", [], 4)]
)
def test_weights_with_an_odd_header_are_refused_in_a_sentence(tmp_path: Path, weights: bytes) -> None:
    write(tmp_path / "adapter")
    (tmp_path / "adapter" / WEIGHTS).write_bytes(weights)
    sign(tmp_path / "adapter")
    with pytest.raises(AdapterCorruptError, match="Expected a whole adapter"):
        verify_adapter(tmp_path / "adapter")


@pytest.mark.parametrize(
    ("tensors", "sentence"),
    [
        ({}, "no tensors"),
        ({"base_model.model.q.lora_A.weight": torch.ones(2), "base_model.model.q.lora_B.weight": torch.ones(2)}, "is of shape"),
        ({name: tensor.to(torch.int8) for name, tensor in TENSORS.items()}, "holds numbers of torch.int8"),
        ({name.removeprefix("base_model."): tensor for name, tensor in TENSORS.items()}, "tensors are missing or too many"),
        ({**TENSORS, "base_model.model.q.bias": torch.ones(2)}, "tensors are missing or too many"),
        ({**TENSORS, "base_model.model.q.lora_magnitude_vector.weight": torch.ones(2)}, "tensors are missing or too many"),
        ({**TENSORS, "q.lora_A.weight": torch.ones(2, 64), "q.lora_B.weight": torch.ones(64, 2)}, "tensors are missing or too many"),
    ],
)
def test_tensors_other_than_pairs_of_matrices_are_refused(tmp_path: Path, tensors: dict[str, torch.Tensor], sentence: str) -> None:
    with pytest.raises(AdapterCorruptError, match=sentence):
        write(tmp_path / "adapter", tensors)


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "adapter")
    with pytest.raises(AdapterRefusedError, match="it was trained on revision abc of tiny, and def is served"):
        verify_adapter(tmp_path / "adapter", revision="def")


def test_a_rank_that_the_tensors_do_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AdapterCorruptError, match=r"base_model.model.q.lora_A.weight is of shape \(2, 64\), and the rank is 4"):
        write(tmp_path / "adapter", r=4)


def test_a_pickle_beside_the_weights_is_not_read(tmp_path: Path) -> None:
    write(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.bin").write_bytes(b"\x80\x04harm")
    assert verify_adapter(tmp_path / "adapter").rank == 2
