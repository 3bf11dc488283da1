"""The options of vassals that a real Emperor has started, found by their pids and held against their `uwsgi.opt`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from integration.farm import Farm
from integration.layout import App, Layout
from integration.waiting import eventually
from uwsgi_reload_hook.site.process_options import nofollow, of_instance, of_vassal

INI = """\
[uwsgi]
{lines}
master = true
processes = 0
socket = {run}/%n.sock
set-ph = told={run}/%n.told
import = {run}/tell.py
x1 = %(shared) %(ours) $(GIVEN) %c
set = listed=%n
if-env = GIVEN
listed = %(_)
endif =
for = a b
looped = <%(_)>
endfor =
"""
YAML = """\
uwsgi:
  master: true
  processes: 0
  socket: {run}/%n.sock
  told: {run}/%n.told
  import: {run}/tell.py
  x1: "%(shared)" %(ours) $(GIVEN) %c
"""
TELL = """\
import json, os, uwsgi
opt = {str(key): value.decode() if isinstance(value, bytes) else "true" for key, value in uwsgi.opt.items()}
with open(opt["told"] + ".new", "w") as told:
    json.dump(opt, told)
os.rename(opt["told"] + ".new", opt["told"])
"""
VASSALS = {
    "plain.ini": INI.replace("{lines}", "strict = false"),
    "named.ini": INI.replace("{lines}", "auto-procname = true"),
    "other.yml": YAML,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Farm, dict[str, dict[str, str]]]]:
    """What each vassal says of its options, of an Emperor that has some for all of them."""
    shared = tmp_path_factory.mktemp("shared") / "shared.ini"
    shared.write_text("[uwsgi]\nshared = of %n\nlisted = shared\n")
    after = shared.with_name("after.ini")
    after.write_text("[uwsgi]\nafter = %(shared) $(GIVEN) %n\n")
    lines = (
        f"vassals-include-before = {shared}",
        f"vassals-inherit = {after}",
        "vassal-set = ours=by the Emperor",
        "env = GIVEN=given",
        "env = UWSGI_LISTED=of the environment",
    )
    with Farm(Layout(apps=(App(vassals=1, load_seconds=0),), hook=None, instance_lines=lines)) as farm:
        run = farm.directory / "run"
        (run / "tell.py").write_text(TELL)
        for vassal, text in VASSALS.items():
            farm.add_vassal(vassal, text.replace("{run}", str(run)))
        files = {vassal: (run / vassal).with_suffix(".told") for vassal in VASSALS}
        eventually(lambda: farm.emperor() and all(file.exists() for file in files.values()), "what uwsgi.opt holds")
        yield farm, {vassal: json.loads(file.read_text()) for vassal, file in files.items()}


@pytest.mark.parametrize("vassal", VASSALS)
def test_the_options_of_a_vassal_are_those_that_it_has(
    told: tuple[Farm, dict[str, dict[str, str]]], vassal: str
) -> None:
    farm, opts = told
    options = of_vassal(farm.vassal_stats()[vassal]["pid"], str(farm.vassals / vassal))
    assert options.gap == ""
    values = {name: options.values(name) for name in options.names()}
    assert {name: each[-1] if each else None for name, each in values.items()} == opts[vassal]
    assert values["ours"] == ["by the Emperor"]
    if vassal.endswith(".ini"):
        name = vassal.removesuffix(".ini")
        assert values["listed"] == ["of the environment", "shared", name, "given"]
        assert values["x1"] == ["of shared by the Emperor given vassals"]


def test_the_options_of_the_emperor_are_found_by_its_pid(told: tuple[Farm, dict[str, dict[str, str]]]) -> None:
    farm, _ = told
    options, directory = of_instance(farm.emperor()["pid"])
    assert (options.gap, directory) == ("", str(farm.directory))
    assert options.values("emperor") == [str(farm.vassals)]
    assert nofollow(farm.emperor()["pid"]) is True
