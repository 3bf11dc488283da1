"""A journal of the right types that nobody wrote: it is taken up, judged and recorded, and nothing trips over it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.support.journals import rolls, strategy
from tests.support.rolling import Shelf, recorder, settings
from uwsgi_reload_hook.planning import planner, recovery
from uwsgi_reload_hook.planning.roll import Result, Roll
from uwsgi_reload_hook.probe_spec import Probe
from uwsgi_reload_hook.records.journal import Journal, decode, encode
from uwsgi_reload_hook.records.store import roll_document
from uwsgi_reload_hook.snapshot import Snapshot, Vassal

vassals = strategy(Vassal)


@st.composite
def looks(draw: st.DrawFn, roll: Roll) -> Snapshot:
    """One look, at whatever the vassals of the roll have become."""
    return Snapshot(draw(st.floats(0, 1e9)), {id_: replace(draw(vassals), id=id_) for id_ in roll.vassals})


@hypothesis_settings(max_examples=200, deadline=None)
@given(rolls, st.data())
def test_whatever_roll_a_journal_holds_it_is_taken_up_and_goes_on(roll: Roll, data: st.DataObject) -> None:
    shelf = Shelf(decode(encode(Journal((1, 2), {}, roll))))
    hook = recorder(shelf)
    unfinished = hook.resume(None, data.draw(st.floats(0, 1e9)))
    assert unfinished is not None
    options = settings(probe=data.draw(st.sampled_from([None, Probe("/")])))
    now = data.draw(st.floats(0, 1e9))
    for recover in (recovery.resume, recovery.restore):
        step = recover(unfinished, data.draw(looks(unfinished)), options, now)
        hook.resumed(unfinished, step.roll, now)
        for _ in range(2):
            before = step.roll
            step = planner.plan(data.draw(looks(before)), before, options, now)
            hook.moved(before, step.roll, now)
            hook.acted(step.roll)
        ended = planner.end_at_once(step.roll, now, Result.INTERRUPTED, "the hook was stopped").roll
        hook.ended(ended, now)
        assert roll_document(ended)["vassals"].keys() == step.roll.vassals.keys()
