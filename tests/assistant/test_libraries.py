import os
import subprocess
import sys

import pytest

from assistant.libraries import prepare_libraries


def test_nothing_alarming_is_printed_when_the_libraries_are_imported() -> None:
    lines = "from assistant.libraries import prepare_libraries; prepare_libraries(); import peft, assistant.engine.base_model"
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert "gemm" not in found.stderr


def test_threads_that_wait_sleep_soon_unless_somebody_has_said_how_they_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    prepare_libraries()
    assert int(os.environ["GOMP_SPINCOUNT"]) < 10_000
    monkeypatch.setenv("GOMP_SPINCOUNT", "77")
    prepare_libraries()
    assert os.environ["GOMP_SPINCOUNT"] == "77"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    prepare_libraries()
    assert "GOMP_SPINCOUNT" not in os.environ
