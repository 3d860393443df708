"""How libraries behave that cannot be asked later: set once a process, before anything imports torch. Knows no model."""

import logging
import os

_SPINS = "3000"  # rounds that a waiting thread of libgomp turns before it sleeps; its own default is some 300,000


def prepare_libraries() -> None:
    """Let processes share processors, and stop a warning that nobody can do anything about.

    Torch's threads wait for each other by turning in circles. Where two processes have more threads than there are processors, the one
    that is waited for is not at work: on two cores a reply of 40 tokens took 8.9 s beside a training, and takes 0.3 s when waiting threads
    sleep soon; two trainings got 140 tokens a second each, and get 1,700; alone, both are as quick as before (2026-11-27). Whoever has
    set `OMP_WAIT_POLICY` or `GOMP_SPINCOUNT` knows better.

    On processors with bfloat16 instructions bitsandbytes looks for an optional package that we do not want, for it fetches code from the
    Hub at import, and warns that it is missing.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit_forward" not in str(record.msg))
