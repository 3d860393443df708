import torch

from assistant.engine.prefix_cache import PrefixCache
from assistant.engine.row_cache import Stretch

SIZE = 2 * 4  # bytes a token of `stretch`


def stretch(ids: list[int]) -> Stretch:
    return [(torch.tensor(ids, dtype=torch.float32).view(1, -1, 1), torch.tensor(ids, dtype=torch.float32).view(1, -1, 1))]


def numbers(begin: int, count: int) -> list[int]:
    return list(range(begin, begin + count))


def keep(cache: PrefixCache, version: int, ids: list[int]) -> None:
    cache.keep(version, ids, stretch(ids))


def test_the_longest_common_beginning_is_found() -> None:
    cache = PrefixCache(10_000)
    keep(cache, 1, numbers(0, 20))
    keep(cache, 1, [*numbers(0, 25), 7, 7, 7])
    found = cache.find(1, [*numbers(0, 24), 9, 9])
    assert found is not None
    assert found[1] == 24
    assert found[0][0][0].shape[1] == 28


def test_another_release_finds_nothing() -> None:
    cache = PrefixCache(10_000)
    keep(cache, 1, numbers(0, 20))
    assert cache.find(2, numbers(0, 30)) is None


def test_the_last_token_is_always_left_to_be_read() -> None:
    cache = PrefixCache(10_000)
    keep(cache, 1, numbers(0, 40))
    found = cache.find(1, numbers(0, 30))
    assert found is not None
    assert found[1] == 29


def test_a_few_common_tokens_are_not_worth_a_copy() -> None:
    cache = PrefixCache(10_000)
    keep(cache, 1, [*numbers(0, 10), *numbers(100, 20)])
    keep(cache, 1, numbers(0, 15))
    assert cache.find(1, numbers(0, 30)) is None


def test_what_a_conversation_continues_is_kept_once() -> None:
    cache = PrefixCache(10_000)
    for length in (20, 40, 60):
        keep(cache, 1, numbers(0, length))
    assert (len(cache), cache.used_bytes) == (1, 60 * SIZE)


def test_what_is_cleared_is_gone() -> None:
    cache = PrefixCache(10_000)
    keep(cache, 1, numbers(0, 20))
    cache.clear()
    assert (len(cache), cache.used_bytes, cache.find(1, numbers(0, 30))) == (0, 0, None)


def test_bytes_are_bounded_and_what_was_used_longest_ago_goes_first() -> None:
    cache = PrefixCache(60 * SIZE)
    for begin in (0, 100, 200):
        keep(cache, 1, numbers(begin, 20))
    assert cache.find(1, numbers(0, 30)) is not None
    keep(cache, 1, numbers(300, 20))
    assert cache.used_bytes == 60 * SIZE
    assert cache.find(1, numbers(100, 30)) is None
    assert cache.find(1, numbers(0, 30)) is not None
    keep(cache, 1, numbers(400, 61))  # too large for all of it
    assert cache.used_bytes == 60 * SIZE
