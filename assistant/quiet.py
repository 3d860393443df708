"""What a library says at its import and nobody can do anything about: taken back where it is said, once a process. Knows no model."""

import logging


def quieten_libraries() -> None:
    """Stop bitsandbytes' warning that an optional package is missing; to be called before anything imports torch.

    On processors with bfloat16 instructions it looks for that package, which we do not want: it fetches code from the Hub at import.
    """
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(lambda record: "gemm_4bit_forward" not in str(record.msg))
