from pathlib import Path

from feedback_db.recipe import Recipe
from trainer.adapter_card import find_licence, write_card
from trainer.run_directory import RunSpec

SPEC = RunSpec(
    run_id="r7",
    snapshot_id="s1",
    base="Qwen/Qwen3-0.6B",
    revision="abc",
    quantisation="nf4",
    device=None,
    template_hash="t",
    system_message=None,
    recipe=Recipe(rank=4, layers=(0, 2)),
    hashes={},
)


def test_the_card_names_base_run_snapshot_and_recipe() -> None:
    card = write_card(SPEC, examples=12)
    assert card.startswith("---\nbase_model: Qwen/Qwen3-0.6B\n")
    assert "Adapter of run r7" in card
    assert "on 12 approved examples, snapshot `s1`" in card
    assert "| rank | 4 |" in card
    assert "| layers | [0, 2] |" in card
    assert "not told by its files" in card


def test_the_bases_licence_is_handed_on(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    assert find_licence(tmp_path) == "apache-2.0"
    assert find_licence(tmp_path / "nowhere") is None
