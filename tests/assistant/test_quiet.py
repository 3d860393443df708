import subprocess
import sys


def test_nothing_alarming_is_printed_when_the_libraries_are_imported() -> None:
    lines = "from assistant.quiet import quieten_libraries; quieten_libraries(); import peft, assistant.engine.base_model"
    found = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=True)
    assert "gemm" not in found.stderr
