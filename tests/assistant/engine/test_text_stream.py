import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from assistant.engine.text_stream import TextStream


def decode_bytes(ids: list[int]) -> str:
    """A tokenizer of single bytes."""
    return bytes(ids).decode("utf-8", errors="replace")


def run(text: bytes, *stop: str) -> tuple[list[str], TextStream]:
    stream = TextStream(decode_bytes, stop)
    pieces = []
    for byte in text:
        pieces.append(stream.push(byte))
        if stream.is_stopped:
            break
    pieces.append(stream.finish())
    return pieces, stream


@given(st.text())
def test_pieces_are_the_text_and_no_piece_holds_half_a_character(text: str) -> None:
    pieces, _ = run(text.encode("utf-8", errors="ignore"))
    assert "".join(pieces) == text.encode("utf-8", errors="ignore").decode()
    assert all("�" not in piece or "�" in text for piece in pieces)


def test_half_a_character_at_the_end_is_no_text() -> None:
    pieces, _ = run("Grüße 🙂".encode()[:-1])
    assert "".join(pieces) == "Grüße "


def test_bytes_that_are_no_text_hold_nothing_back_for_ever() -> None:
    pieces, _ = run(b"a\xff\xfebc")
    assert "".join(pieces).endswith("bc")


@pytest.mark.parametrize(
    ("text", "stop", "shown", "is_stopped"),
    [
        ("one END two", ["END"], "one ", True),
        ("one EN two", ["END"], "one EN two", False),
        ("one EN", ["END"], "one EN", False),
        ("one\n\ntwo", ["\n\n", "tw"], "one", True),
        ("aaab", ["aab"], "a", True),
        ("plain", [""], "plain", False),
        ("ENEND", ["END"], "EN", True),
    ],
)
def test_a_reply_ends_before_a_stop_text_and_nothing_of_it_is_shown(text: str, stop: list[str], shown: str, is_stopped: bool) -> None:
    pieces, stream = run(text.encode(), *stop)
    assert ("".join(pieces), stream.is_stopped) == (shown, is_stopped)


@given(st.lists(st.sampled_from("abAB "), max_size=30).map("".join), st.lists(st.text("abAB", min_size=1, max_size=3), max_size=2))
def test_stop_texts_cut_where_the_whole_text_would_be_cut(text: str, stop: list[str]) -> None:
    pieces, _ = run(text.encode(), *stop)
    shown = "".join(pieces)
    assert text.startswith(shown)
    assert not any(one in shown for one in stop)
    assert shown == text or any(text[len(shown) :].startswith(one) for one in stop)


def test_tokens_of_a_real_tokenizer_give_the_text_back(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "  Your order 4711 costs 12.50 €.\nGrüße, 你好 🙂, bye!"
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join([*map(stream.push, ids), stream.finish()]) == tokenizer.decode(ids, skip_special_tokens=True)
