import json
from pathlib import Path

import pytest
import torch

from assistant.engine.base_model import Quantisation, load_base_model
from trainer.support_base.building import build_base
from trainer.support_base.plan import OtherBuildError, Progress


@pytest.mark.slow
def test_a_build_ends_in_a_folder_that_the_ordinary_loader_takes(tmp_path: Path) -> None:
    reports: list[Progress] = []
    folder = build_base(tmp_path, steps=1, seed=3, publish=reports.append)
    base = load_base_model(folder)
    plain = load_base_model(folder, quantisation=Quantisation.NONE)
    quantised, exact = (one.model(input_ids=torch.arange(300, 340)[None]).logits.float() for one in (base, plain))
    assert (quantised - exact).norm() / exact.norm() < 0.03  # the weights lie on the grid already
    assert base.model.config.vocab_size == len(base.tokenizer) == 4096
    assert base.model.generation_config.do_sample is False
    built = json.loads((folder / "build.json").read_text())
    assert (built["seed"], built["steps"]) == (3, 1)
    with pytest.raises(OtherBuildError, match="Found another one"):
        build_base(tmp_path, steps=2, seed=3, publish=reports.append)
