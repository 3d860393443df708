import pytest
from pydantic import ValidationError

from assistant.errors import SettingsError
from assistant.settings import read_settings


def test_defaults_need_no_environment() -> None:
    assert read_settings().base is None


def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_MAX_REPLY_TOKENS", "12")
    assert read_settings().max_reply_tokens == 12


def test_an_unknown_setting_is_an_error_that_names_it_and_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_BASSE", "x")
    with pytest.raises(SettingsError, match=r"ERRATA_BASE, .*found ERRATA_BASSE"):
        read_settings()


def test_a_value_out_of_range_is_named_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_MAX_REPLY_TOKENS", "0")
    with pytest.raises(SettingsError, match=r"ERRATA_MAX_REPLY_TOKENS: .*found '0'"):
        read_settings()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        read_settings().base = "x"
