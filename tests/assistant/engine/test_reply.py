import math
import threading

import pytest

from assistant.engine.reply import FinishReason, Reply, Sampling
from assistant.errors import SamplingError


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.1, 1e9, "1", None, True])
@pytest.mark.parametrize("name", ["temperature", "top_p", "repetition_penalty"])
def test_what_is_no_number_within_its_bounds_is_refused(name: str, value: object) -> None:
    with pytest.raises(SamplingError, match=f"Expected a number from .* as the {name} of a reply. Found"):
        Sampling(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("max_tokens", 0), ("max_tokens", -5), ("top_k", -1), ("repetition_penalty", 0.0)])
def test_what_would_never_end_or_choose_nothing_is_refused(name: str, value: float) -> None:
    with pytest.raises(SamplingError, match=f"as the {name} of a reply. Found {value}"):
        Sampling(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["max_tokens", "top_k", "seed"])
def test_what_is_counted_is_a_whole_number(name: str) -> None:
    with pytest.raises(SamplingError, match=f"Expected a whole number as the {name} of a reply. Found 1.5"):
        Sampling(**{name: 1.5})  # type: ignore[arg-type]


def test_a_reply_ends_for_all_who_wait_for_its_next_piece() -> None:
    reply = Reply(1, 0, Sampling(), 3, None)
    readers = [threading.Thread(target=list, args=[reply], daemon=True) for _ in range(3)]
    for reader in readers:
        reader.start()
        reader.join(timeout=0.1)
    reply.end(FinishReason.COMPLETE, 0)
    for reader in readers:
        reader.join(timeout=5)
    assert not any(reader.is_alive() for reader in readers)
    assert list(reply) == []
