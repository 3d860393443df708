from collections.abc import Callable, Iterator

import pytest
import torch

from assistant.engine.threads import PassThreads


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def try_out(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int, int], float]) -> PassThreads:
    """Try out on a machine where a pass takes so many `seconds` by its tokens and threads."""
    found = PassThreads()

    def measure(run: Callable[[int], None], size: int) -> float:
        run(size)
        return seconds(size, torch.get_num_threads())

    monkeypatch.setattr("assistant.engine.threads._time", measure)
    found.try_out(found.choose)
    return found


@pytest.mark.parametrize(
    ("seconds", "large_from"),
    [
        (lambda size, threads: size * 0.001 / threads + (threads - 1) * 0.02, 64),  # waiting for each other costs 20 ms
        (lambda size, threads: size * 0.001 / threads, 1),
        (lambda size, threads: size * 0.001, 512),  # the second thread has no processor
        (lambda size, threads: 2.0, 1),  # so slow that nothing is tried out
    ],
)
def test_all_threads_run_the_passes_that_they_make_quicker(
    seconds: Callable[[int, int], float], large_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = try_out(monkeypatch, seconds)
    assert found.large_from == large_from
    for tokens, threads in ((large_from - 1, 1), (large_from, 2), (2000, 2)):
        found.choose(tokens)
        assert torch.get_num_threads() == threads
    found.choose(0)
    found.reset()
    assert torch.get_num_threads() == 2
