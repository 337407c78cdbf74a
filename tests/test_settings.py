"""What operators write is checked when it is built; what is wrong is named with its remedy."""

from __future__ import annotations

from dataclasses import fields

import pytest

from ortto_capture import (
    Attribute,
    ConfigurationError,
    Definition,
    Settings,
    Source,
)
from ortto_capture.model import Quota

SECRET = "an example secret of more than 32 bytes"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"secret_keys": "one string, though long enough to be one"}, "secret_keys"),
        ({"secret_keys": ["too short"]}, "secret_keys"),
        ({"secret_keys": [SECRET, b"too short"]}, "secret_keys"),
        ({"person_limit": "ten a day"}, "person_limit"),
        ({"ip_limit": "10/day;100/hour"}, "ip_limit"),
        ({"new_people_limit": "0/hour"}, "new_people_limit"),
        ({"person_limit": 10}, "person_limit"),
        ({"identity": "closed"}, "identity"),
        ({"gpc": "ignore"}, "gpc"),
        ({"on_limiter_error": "raise"}, "on_limiter_error"),
        ({"max_body": 0}, "max_body"),
        ({"max_attributes": True}, "max_attributes"),
        ({"max_activity_bytes": "16384"}, "max_activity_bytes"),
        ({"session_days": 366}, "session_days"),
        ({"retain_activities_days": 6}, "retain_activities_days"),
        ({"retain_activities_days": 10**9}, "retain_activities_days"),
        ({"retain_idle_people_days": 0}, "retain_idle_people_days"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"time_zone": "Middle-earth/Shire"}, "time_zone"),
        ({"time_zone": "../etc/localtime"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"time_zone": 2}, "time_zone"),
        ({"time_zone": None}, "time_zone"),
        ({"max_body": 2**63}, "max_body"),
        ({"person_limit": f"{2**63}/day"}, "person_limit"),
        ({"ip_limit": f"1/{2**63} seconds"}, "ip_limit"),
        ({"ip_limit": f"1/{2**53 // 3600 + 1} hours"}, "ip_limit"),
        ({"new_people_limit": "9" * 5000 + "/day"}, "new_people_limit"),
        ({"new_people_limit": "1/0 day"}, "new_people_limit"),
        ({"new_people_limit": "5 per 00 hours"}, "new_people_limit"),
        ({"sources": {"": Source("x")}}, "sources"),
        ({"sources": {"k" * 101: Source("x")}}, "sources"),
        ({"sources": {"key": "x"}}, "sources"),
        ({"merge_keys": "str:cm:customer-id"}, "merge_keys"),
        ({"merge_keys": ["customer-id"]}, "merge_keys"),
        ({"no_such_setting": 1}, "no_such_setting"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(members: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        Settings.from_mapping({"secret_keys": [SECRET], **members})

    assert wrong.value.field == field
    assert str(wrong.value).startswith(f"{field}: ")


def test_settings_come_from_plain_data() -> None:
    settings = Settings.from_mapping(
        {
            "secret_keys": [SECRET],
            "sources": {"shop": {"name": "The shop", "origins": ["https://shop.example"]}},
            "merge_keys": ["str:cm:customer-id"],
        }
    )

    assert settings.sources == {"shop": Source("The shop", ["https://shop.example"])}
    assert settings.merge_keys == ("str:cm:customer-id",)


@pytest.mark.parametrize(
    "values",
    [
        {"sources": "shop"},
        {"sources": {"shop": {"label": "The shop"}}},
        {"sources": {"shop": {"name": "The shop", "origins": 5}}},
        {"secret_keys": 5},
        {"merge_keys": 5},
    ],
)
def test_plain_data_of_the_wrong_shape_is_refused_by_name(values: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Settings.from_mapping(values)


def test_the_settings_are_those_of_the_contract() -> None:
    """Contract §11: the names are public, and these are the defaults."""
    settings = Settings(secret_keys=[SECRET])

    assert {each.name: getattr(settings, each.name) for each in fields(Settings)} == {
        "secret_keys": (SECRET,),
        "sources": {},
        "person_limit": "10/day",
        "ip_limit": "100/hour",
        "new_people_limit": "100/hour",
        "merge_keys": (),
        "allow_skip_non_existing": False,
        "identity": "open",
        "max_body": 65_536,
        "max_attributes": 15,
        "max_activity_bytes": 16_384,
        "session_days": 365,
        "on_limiter_error": "local",
        "gpc": "record",
        "retain_activities_days": 400,
        "retain_idle_people_days": 30,
        "time_zone": "UTC",
    }


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Asia/Kolkata", "Etc/GMT+5"])
def test_reports_may_go_by_any_time_zone_that_the_machine_knows(name: str) -> None:
    assert Settings(secret_keys=[SECRET], time_zone=name).time_zone == name


def test_secrets_are_never_shown() -> None:
    assert SECRET not in repr(Settings(secret_keys=[SECRET]))


@pytest.mark.parametrize(
    "origins", ["https://shop.example", ["shop.example"], ["https://a/b"], ["ftp://a"]]
)
def test_origins_are_a_list_of_scheme_and_host(origins: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="origins"):
        Source("shop", origins)


@pytest.mark.parametrize(
    "key", ["", "email", "str:email", "dec:cm:price", "str:CM:x", "str:cm:", "str:cm:" + "x" * 94]
)
def test_an_attribute_key_has_a_type_a_namespace_and_a_slug(key: str) -> None:
    with pytest.raises(ConfigurationError, match="attribute"):
        Attribute(key)


def test_an_attribute_goes_by_its_slug_when_it_has_no_name() -> None:
    assert Attribute("str:cm:payment-plan").name == "payment-plan"
    assert Attribute("str::email", "E-mail").name == "E-mail"


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"id": "login"}, "id"),
        ({"id": "act::ws"}, "id"),
        ({"id": "act:cm:" + "x" * 94}, "id"),
        ({"id": "act:cm:lo gin"}, "id"),
        ({"name": " "}, "name"),
        ({"unknown_attributes": "keep"}, "unknown_attributes"),
        ({"attributes": [Attribute("str:cm:a"), Attribute("str:cm:a", "Again")]}, "attributes"),
        ({"limits": {"site": "10/day"}}, "limits"),
        ({"limits": {"person": "many"}}, "limits.person"),
        ({"limits": {"person": f"{2**63}/day"}}, "limits.person"),
        ({"limits": {"ip": "1/0 day"}}, "limits.ip"),
    ],
)
def test_a_wrong_definition_is_refused_by_name(members: dict[str, object], field: str) -> None:
    good: dict[str, object] = {"id": "act:cm:login", "name": "Logged in"}
    with pytest.raises(ConfigurationError) as wrong:
        Definition(**{**good, **members})  # type: ignore[arg-type]

    assert wrong.value.field == field


@pytest.mark.parametrize(
    "activity_id",
    ["act:cm:donationReceived", "act:cm:website_form_submit", "act:cm:1st", "act:wf:" + "a" * 45],
)
def test_ids_of_every_spelling_seen_on_sites_are_fine(activity_id: str) -> None:
    assert Definition(activity_id, "X").id == activity_id


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("10/day", Quota(10, 86_400)),
        ("100 per hour", Quota(100, 3600)),
        ("5/2 hours", Quota(5, 7200)),
        ("10 per 10 seconds", Quota(10, 10)),
        (f"{2**53 - 1}/day", Quota(2**53 - 1, 86_400)),
    ],
)
def test_limits_are_written_as_the_limits_package_has_them(text: str, quota: Quota) -> None:
    assert Quota.parse(text) == quota
