from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uwsgi_reload_hook.errors import ConfigError
from uwsgi_reload_hook.option_sources import from_uwsgi_opt, with_repeats
from uwsgi_reload_hook.probe_spec import AUTO
from uwsgi_reload_hook.settings import OPTIONS, PREFIX, Minimum, Settings, parse

TRIGGER = {"trigger": ["/srv/reload"]}


def value(name: str, text: str) -> Any:  # noqa: ANN401 - each option has its own type
    """What one option becomes."""
    return getattr(parse({**TRIGGER, name: [text]}), OPTIONS[name].attribute)


def test_the_trigger_alone_gives_the_defaults_of_the_contract() -> None:
    made = parse(TRIGGER)
    assert made == Settings(
        trigger="/srv/reload",
        emperor_stats_socket=None,
        fastrouter_stats_socket=(),
        emperor_path=None,
        subscription_server=(),
        vassal_config_file_suffix=(),
        vassals=("*",),
        minimum_active_vassals=Minimum(1),
        maximum_parallel=0,
        canary=1,
        timeout=None,
        deadline=0,
        drain_timeout=30,
        minimum_healthy_time=0,
        probe=AUTO,
        check_interval=0.1,
        state_directory=None,
        quiet=False,
    )


def test_every_setting_has_an_option_and_every_option_a_setting() -> None:
    assert {option.attribute for option in OPTIONS.values()} == set(Settings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("trigger", "  /srv/a b ", "/srv/a b"),
        ("minimum-active-vassals", "0", Minimum(0)),
        ("minimum-active-vassals", " 3 ", Minimum(3)),
        ("minimum-active-vassals", "50%", Minimum(50, percent=True)),
        ("minimum-active-vassals", "50 %", Minimum(50, percent=True)),
        ("minimum-active-vassals", "0%", Minimum(0, percent=True)),
        ("minimum-active-vassals", "blog=0", Minimum(1, by_key=(("blog", Minimum(0)),))),
        ("minimum-active-vassals", "*.test = 50 %", Minimum(1, by_key=(("*.test", Minimum(50, percent=True)),))),
        ("minimum-active-vassals", "a=b=2", Minimum(1, by_key=(("a=b", Minimum(2)),))),
        ("vassal-config-file-suffix", ".yaml", (".yaml",)),
        ("minimum-active-vassals", "100%", Minimum(100, percent=True)),
        ("maximum-parallel", "12", 12),
        ("canary", "0", 0),
        ("timeout", "0.5", 0.5),
        ("timeout", "1e2", 100.0),
        ("timeout", " 5 ", 5.0),
        ("deadline", "0", 0.0),
        ("drain-timeout", "0", 0.0),
        ("check-interval", "0.001", 0.001),
        ("quiet", "true", True),
        ("quiet", "1", True),
        ("quiet", "Yes", True),
        ("quiet", "on", True),
        ("quiet", "FALSE", False),
        ("quiet", "0", False),
        ("quiet", "no", False),
        ("quiet", "off", False),
        ("emperor-stats-socket", "/run/emperor.stats", "/run/emperor.stats"),
        ("emperor-stats-socket", "/run/with:colon", "/run/with:colon"),
        ("emperor-stats-socket", "@abstract", "@abstract"),
        ("emperor-stats-socket", "127.0.0.1:1717", "127.0.0.1:1717"),
        ("emperor-stats-socket", "[::1]:1717", "[::1]:1717"),
        ("subscription-server", ":1717", (":1717",)),
    ],
)
def test_a_good_value_is_read(name: str, text: str, expected: object) -> None:
    assert value(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("trigger", ""),
        ("trigger", "  "),
        ("vassals", ""),
        *(
            (name, text)
            for name in ("minimum-active-vassals", "maximum-parallel", "canary")
            for text in ("", " ", "-1", "+1", "1.5", "1e3", "nan", "inf", "٣", "²", "1_000", "0x1", "9" * 5000)
        ),
        *(("minimum-active-vassals", text) for text in ("101%", "-1%", "%", "5%%", "٣%", "50.5%", "9999%")),
        ("canary", "50%"),
        *(
            (name, text)
            for name in ("timeout", "deadline", "drain-timeout", "minimum-healthy-time", "check-interval")
            for text in ("", "-1", "-0.001", "nan", "inf", "-inf", "1e999", "1e10", "5s", "1,5", "0x10", "ten")
        ),
        ("timeout", "0"),
        ("check-interval", "0"),
        ("check-interval", "-0"),
        *(("quiet", text) for text in ("", "maybe", "2", "t")),
        *(
            (name, text)
            for name in ("emperor-stats-socket", "fastrouter-stats-socket", "subscription-server")
            for text in ("", "host:port", "host:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:٣", "http://x/", ":")
        ),
    ],
)
def test_a_bad_value_is_an_error_that_names_key_and_value_and_what_is_accepted(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        value(name, text)
    assert str(caught.value).startswith(f"{PREFIX}{name} = {text}: not accepted; give ")
    assert not str(caught.value).endswith("give ")


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(sorted(OPTIONS)), text=st.text())
def test_whatever_is_given_is_either_read_or_an_error_that_names_the_key(name: str, text: str) -> None:
    complaint = f"{PREFIX}{name}"
    try:
        assert value(name, text) is not None
    except ConfigError as error:
        complaint = str(error)
    assert f"{PREFIX}{name}" in complaint


@given(number=st.integers(0, 100), percent=st.booleans())
def test_a_minimum_is_written_as_it_is_read(number: int, percent: bool) -> None:
    minimum = Minimum(number, percent)
    assert value("minimum-active-vassals", str(minimum)) == minimum


@given(percentage=st.integers(0, 100), total=st.integers(0, 10_000))
def test_a_percentage_is_the_least_number_that_is_not_below_it(percentage: int, total: int) -> None:
    number = Minimum(percentage, percent=True).of(total)
    assert number * 100 >= total * percentage
    assert (number - 1) * 100 < total * percentage


@pytest.mark.parametrize("total", [0, 1, 7])
def test_a_minimum_that_is_a_number_does_not_depend_on_how_many_there_are(total: int) -> None:
    assert Minimum(3).of(total) == 3


def test_options_that_may_repeat_keep_their_order() -> None:
    made = parse({**TRIGGER, "vassals": ["b*", "a*"], "fastrouter-stats-socket": ["/b", "127.0.0.1:5"]})
    assert made.vassals == ("b*", "a*")
    assert made.fastrouter_stats_socket == ("/b", "127.0.0.1:5")


def test_another_option_that_repeats_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"reload-hook-timeout is given 2 times \(5, 6\)"):
        parse({**TRIGGER, "timeout": ["5", "6"]})


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("timeuot", "did you mean reload-hook-timeout?"),
        ("zzzzzz", "the options are trigger, "),
        ("", "the options are"),
    ],
)
def test_an_unknown_option_is_an_error_that_helps(unknown: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown option {PREFIX}{unknown};") as caught:
        parse({**TRIGGER, unknown: ["1"]})
    assert hint in str(caught.value)


def test_without_a_trigger_the_error_shows_how_to_set_it() -> None:
    with pytest.raises(ConfigError, match=r"reload-hook-trigger is missing; .*reload-hook-trigger = /"):
        parse({})


@pytest.mark.parametrize(
    ("opt", "expected"),
    [
        ({"reload-hook-trigger": b"/x"}, {"trigger": ["/x"]}),
        ({"reload-hook-trigger": b" /x "}, {"trigger": ["/x"]}),
        ({"reload-hook-trigger": "/x"}, {"trigger": ["/x"]}),
        ({"reload-hook-quiet": True}, {"quiet": ["true"]}),
        ({"reload-hook-vassals": [b"a*", b"b*"]}, {"vassals": ["a*", "b*"]}),
        ({"reload-hook-quiet": [True, b"false"]}, {"quiet": ["true", "false"]}),
        ({"reload-hook-": b"x"}, {"": ["x"]}),
        # what uWSGI makes of `set-ph = reload-hook-trigger = /x`
        ({"set-ph": b"reload-hook-trigger = /x", "reload-hook-trigger ": b" /x"}, {"trigger": ["/x"]}),
        ({"set-ph": b"reload-hook-canary=2", "reload-hook-canary": b"2"}, {"canary": ["2"]}),
        ({"master": True, "socket": b"/x", "Reload-Hook-Trigger": b"/x"}, {}),
        ({}, {}),
    ],
)
def test_the_options_are_picked_out_of_what_uwsgi_hands_over(
    opt: Mapping[str, object], expected: dict[str, list[str]]
) -> None:
    assert from_uwsgi_opt(opt) == expected


@given(st.binary(min_size=1).filter(lambda raw: not raw[:1].isspace() and not raw[-1:].isspace()))
def test_a_path_that_is_not_utf8_stays_the_path_that_it_is(raw: bytes) -> None:
    (text,) = from_uwsgi_opt({"reload-hook-trigger": raw})["trigger"]
    assert os.fsencode(text) in {raw, os.fsencode(os.fsdecode(raw).strip())}


def test_repeated_options_are_taken_from_the_config_where_it_agrees_on_the_last() -> None:
    opt = {"vassals": ["b*"], "fastrouter-stats-socket": ["/given"], "canary": ["2"]}
    written = {
        "vassals": ["a*", "b*"],
        "fastrouter-stats-socket": ["/first", "/%q"],
        "canary": ["1", "2"],
        "unknown": ["x"],
    }
    assert with_repeats(opt, written) == {**opt, "vassals": ["a*", "b*"]}
