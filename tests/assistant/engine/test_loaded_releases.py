from assistant.engine.loaded_releases import LoadedReleases


def publish(releases: LoadedReleases, version: int) -> None:
    slot = releases.take_slot()
    assert slot is not None, "whoever swaps would wait for ever"
    releases.put(version, slot)
    releases.publish(version)


def test_with_as_few_slots_as_the_settings_allow_one_release_after_the_other_goes_live() -> None:
    releases = LoadedReleases(2)
    for version in range(1, 6):
        publish(releases, version)
    assert (releases.live, releases.previous, releases.versions) == (5, 4, (4, 5))


def test_the_release_that_was_live_before_gives_way_last() -> None:
    releases = LoadedReleases(3)
    for version in (1, 2, 3):
        publish(releases, version)
    releases.pin(1)
    releases.unpin(1)  # used last, and yet it goes before number 2
    releases.take_slot()
    assert releases.versions == (2, 3)
    releases.take_slot()
    assert releases.versions == (3,)


def test_a_release_that_a_reply_uses_never_gives_way() -> None:
    releases = LoadedReleases(2)
    for version in (1, 2):
        publish(releases, version)
    releases.pin(1)
    assert releases.take_slot() is None
    releases.unpin(1)
    assert releases.take_slot() is not None
