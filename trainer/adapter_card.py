"""The model card of an adapter: what it was made of, for what, and under which licence. Pure."""

import json
from dataclasses import asdict
from pathlib import Path

from trainer.run_directory import RunSpec


def write_card(spec: RunSpec, *, examples: int) -> str:
    """Write the card as Markdown with the front matter that model hubs read."""
    settings = "\n".join(f"| {name} | {json.dumps(value)} |" for name, value in asdict(spec.recipe).items())
    licence = find_licence(Path(spec.base)) if Path(spec.base).is_dir() else None
    front = [f"base_model: {spec.base}", "library_name: peft", "tags: [errata, lora]", *([f"license: {licence}"] if licence else [])]
    shown = "not told by its files: see its own card" if licence is None else licence
    return f"""---
{chr(10).join(front)}
---
# Adapter of run {spec.run_id}

Low-rank matrices (LoRA) for the {spec.quantisation} base `{spec.base}`, revision `{spec.revision}`; they are of no use beside another one.
Trained from the base on {examples} approved examples, snapshot `{spec.snapshot_id}`. Licence of the base: {shown}.

**Use:** replies of a support assistant to the kinds of questions it was corrected on. **Limits:** it can be wrong, also about what it was
taught; `report.json` of the run says what was learned and what was not.

| recipe | |
|---|---|
{settings}
"""


def find_licence(base: Path) -> str | None:
    """Return the licence that the front matter of a base's card names, None where there is none."""
    card = base / "README.md"
    if not card.is_file():
        return None
    lines = card.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [line.partition(":")[2].strip() for line in lines[:60] if line.startswith("license:")]
    return found[0] if found else None
