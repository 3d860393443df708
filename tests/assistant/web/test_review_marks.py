import json

from assistant.web.review_marks import Marks, read_marks


def test_half_a_character_in_what_is_ticked_is_mended() -> None:
    half = "half \ud83d"
    told = json.dumps({"retire": [f"example {half}"], "change": {f"example of {half}": half}, "wordings": [half]})
    mended = "half \ufffd"
    assert read_marks(told) == Marks(retired=(f"{mended}",), changed={f"of {mended}": mended}, turn_ids=(mended,))
