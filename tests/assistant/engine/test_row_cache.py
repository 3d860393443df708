"""Room for rows: never more than is needed, and as it was where memory is short."""

import pytest
import torch

from assistant.engine.row_cache import RowCache

HEADS, WIDTH, LAYERS = 2, 4, 3
A_TOKEN = 2 * LAYERS * HEADS * WIDTH * 4  # bytes


def make_cache(rows: int, length: int) -> RowCache:
    """A cache in which every row has written its number at each place."""
    cache = RowCache(torch.float32)
    cache.fit(rows, length, keep=0)
    write(cache, rows, length)
    return cache


def write(cache: RowCache, rows: int, length: int) -> None:
    cache.look_at(slice(0, rows), torch.arange(length).repeat(rows, 1), length)
    states = torch.arange(rows)[:, None, None, None].expand(rows, HEADS, length, WIDTH).float()
    for layer in range(LAYERS):
        cache.update(states, states, layer)


def read(cache: RowCache, row: int, length: int) -> set[float]:
    return {float(number) for pair in cache.read(row, length) for states in pair for number in states.unique()}


def test_where_memory_is_short_all_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    cache, makes = make_cache(2, 64), []
    make = RowCache._make

    def fail_late(*arguments: object) -> torch.Tensor:
        makes.append(1)
        if len(makes) == LAYERS:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return make(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(RowCache, "_make", fail_late)
        with pytest.raises(torch.OutOfMemoryError):
            cache.fit(4, 200, keep=2)
    assert (cache.rows, cache.length) == (2, 64)
    write(cache, 2, 64)  # what pads has its place still
    assert (read(cache, 0, 64), read(cache, 1, 64)) == ({0.0}, {1.0})


def test_many_short_rows_are_not_as_long_as_one_that_has_gone() -> None:
    cache = make_cache(1, 4096)
    cache.fit(2, 4096, keep=1)
    write(cache, 2, 64)  # the long one goes, a short one stays
    cache.fit(8, 64, keep=2)
    assert (cache.rows, cache.length) == (9, 64)
    assert read(cache, 1, 64) == {1.0}


def test_one_long_row_is_not_as_wide_as_many_that_have_gone() -> None:
    cache = make_cache(16, 64)
    cache.fit(1, 4096, keep=0)
    assert (cache.rows, cache.length) == (1, 4096)


def test_what_memory_it_takes_is_known_before_and_when_all_has_been_let_go() -> None:
    cache = make_cache(1, 4096)
    cache.fit(1, 64, keep=0)
    assert cache.count_bytes(1, 64, keep=0) == 64 * A_TOKEN
    assert cache.count_bytes(3, 100, keep=1) == 4 * 128 * A_TOKEN
    assert cache.count_bytes(10, 64, keep=9) == 17 * 64 * A_TOKEN


@pytest.mark.parametrize("rows", [8, 16, 64])
def test_a_full_batch_has_room_for_the_probe_of_a_swap(rows: int) -> None:
    cache = make_cache(rows, 64)
    size = (cache.rows, cache.length)
    cache.fit(rows + 1, 64, keep=rows)
    assert (cache.rows, cache.length) == size
