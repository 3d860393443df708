import pytest
from pydantic import ValidationError

from assistant.errors import SettingsError
from assistant.settings import Settings, expand_home, read_settings


def test_defaults_need_no_environment() -> None:
    assert read_settings().base is None


def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_MAX_REPLY_TOKENS", "12")
    assert read_settings().max_reply_tokens == 12


def test_an_unknown_setting_is_an_error_that_names_it_and_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_BASSE", "x")
    with pytest.raises(SettingsError, match=r"ERRATA_BASSE: expected one of .*ERRATA_BASE,"):
        read_settings()


def test_a_value_out_of_range_is_named_with_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_MAX_REPLY_TOKENS", "0")
    with pytest.raises(SettingsError, match=r"ERRATA_MAX_REPLY_TOKENS: expected a whole number from 1 to 8192, found '0'\."):
        read_settings()


def test_every_setting_says_what_is_expected_of_it() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "abc", "expected a whole number from 1 to 65535, found 'abc'."),
        ("ANONYMOUS_CHAT", "maybe", "expected true or false, found 'maybe'."),
        ("PUBLIC_HOSTS", "support.example", """expected a JSON list of names, such as ["support.example"], found 'support.example'."""),
        ("PUBLIC_HOSTS", '["a", 1]', """expected a JSON list of names, such as ["support.example"], found 1."""),
        ("QUIET_FROM", "25:00", "expected a time of day, such as 08:00, found '25:00'."),
        ("SCHEDULE_ZONE", "Mars", "expected the name of a time zone, such as Europe/Berlin, found 'Mars'."),
        ("TITLE", "x" * 999, f"expected 1 to 60 characters, found '{'x' * 59}…."),
        ("RECIPE", '{"rank": 0}', """found '{"rank": 0}' (rank: expected a whole number"""),
    ],
)
def test_a_wrong_value_is_told_in_our_words(name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ERRATA_{name}", value)
    with pytest.raises(SettingsError) as refused:
        read_settings()
    assert f"ERRATA_{name}: " in str(refused.value)
    assert told in str(refused.value)
    assert "Value error" not in str(refused.value)


def test_several_wrong_values_are_told_at_once_each_on_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "PUBLIC_HOSTS", "SCHEDULE_CRON", "MODLE"):
        monkeypatch.setenv(f"ERRATA_{name}", "x y")
    with pytest.raises(SettingsError) as refused:
        read_settings()
    first, *others = str(refused.value).splitlines()
    assert first.endswith("Change them, or leave them out to take the defaults.")
    assert [line.split(":")[0] for line in others] == ["ERRATA_MODLE", "ERRATA_PORT", "ERRATA_PUBLIC_HOSTS", "ERRATA_SCHEDULE_CRON"]


def test_lists_are_read_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_PUBLIC_HOSTS", '["support.example", "help.example"]')
    assert read_settings().public_hosts == ("support.example", "help.example")


def test_a_base_in_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("ERRATA_BASE", "~/models/base")
    assert read_settings().base == "/home/ada/models/base"


def test_a_name_on_the_hub_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_BASE", "someone/model~1")
    assert read_settings().base == "someone/model~1"


def test_the_home_of_an_unknown_user_stays_as_it_is() -> None:
    assert expand_home("~nobody-of-this-name/base") == "~nobody-of-this-name/base"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        read_settings().base = "x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULE_CRON", "at night"),
        ("SCHEDULE_CRON", "0 0 30 2 *"),
        ("SCHEDULE_ZONE", "Mars/Olympus"),
        ("APPROVALS_REQUIRED", "3"),
        ("QUIET_FROM", "25:00"),
        ("RECIPE", '{"epochs": 0}'),
    ],
)
def test_a_setting_of_the_loop_out_of_range_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"ERRATA_{name}", value)
    with pytest.raises(SettingsError, match=rf"ERRATA_{name}: "):
        read_settings()


def test_an_admin_chooses_some_settings_in_the_place_of_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_QUIET_FROM", "22:00")
    monkeypatch.setenv("ERRATA_PORT", "9000")
    chosen = read_settings().choose({"quiet_from": None, "system_message": "You help.", "schedule_cron": "30 1 * * *"})
    assert (chosen.quiet_from, chosen.system_message, chosen.schedule_cron, chosen.port) == (None, "You help.", "30 1 * * *", 9000)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"port": 1}, "port: expected one of"),
        ({"schedule_cron": "every night"}, "schedule_cron: .*found 'every night'"),
        ({"schedule_zone": "Mars"}, "time zone"),
        ({"quiet_from": "late"}, "quiet_from"),
        ({"schedule_least_examples": None}, "schedule_least_examples"),
        ({"system_message": "x" * 4001}, "system_message"),
    ],
)
def test_what_cannot_be_chosen_is_named(chosen: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        read_settings().choose(chosen)


@pytest.mark.parametrize(
    ("host", "public", "known"),
    [
        ("127.0.0.1", (), {"127.0.0.1", "::1", "localhost"}),
        ("127.0.0.1", ("Support.example",), {"127.0.0.1", "::1", "localhost", "support.example"}),
        ("0.0.0.0", (), None),
        ("0.0.0.0", ("support.example",), {"127.0.0.1", "::1", "localhost", "support.example"}),
    ],
)
def test_the_names_by_which_the_pages_are_found_are_known_where_a_strangers_would_be_dangerous(
    host: str, public: tuple[str, ...], known: set[str] | None
) -> None:
    assert Settings(host=host, public_hosts=public).known_hosts == known
