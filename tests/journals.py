"""Journals of any content, to be written and read again."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from uwsgi_reload_hook.journal import Journal
from uwsgi_reload_hook.model import Blacklisting, Node
from uwsgi_reload_hook.roll import Phase, Progress, Request, Result, Roll

words = st.text(max_size=8)
numbers = st.integers(0, 2**63)
moments = st.floats(0, 1e9)
nodes = st.builds(
    Node, router=words, key=words, address=words, ref=numbers, last_check=numbers, death_mark=st.booleans()
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


progresses = st.builds(
    Progress,
    id=words,
    phase=st.sampled_from(Phase),
    since=moments,
    reason=words,
    keys=st.frozensets(words, max_size=3),
    started=maybe(moments),
    finished=maybe(moments),
    first_pid=maybe(numbers),
    nodes=st.lists(nodes, max_size=2).map(tuple),
    drained=st.lists(nodes, max_size=2).map(tuple),
    pid=maybe(numbers),
    respawns=numbers,
    last_mod=numbers,
    reloads=maybe(st.integers(-1, 100)),
    children=maybe(st.frozensets(st.tuples(numbers, numbers), max_size=3)),
    new_process=st.booleans(),
    accepts=st.booleans(),
    blacklisted=maybe(st.builds(Blacklisting, first_attempt=numbers, attempt=numbers)),
    acted=maybe(moments),
    loaded=maybe(moments),
    looks=numbers,
    healthy_since=maybe(moments),
    announced=maybe(moments),
    probed=maybe(moments),
    awaits_answer=st.booleans(),
)
rolls = st.builds(
    Roll,
    id=words,
    request=st.builds(Request, mtime_ns=numbers, inode=numbers, request_id=words, message=words, only=words),
    started=moments,
    started_wall=moments,
    vassals=st.dictionaries(words, progresses, max_size=3),
    aside=st.dictionaries(words, words, max_size=2),
    minimum=st.dictionaries(words, numbers, max_size=2),
    usual_load=maybe(moments),
    moved=moments,
    blind_since=maybe(moments),
    stop=maybe(st.sampled_from(Result)),
    result=maybe(st.sampled_from(Result)),
    reason=words,
    finished=maybe(moments),
)
journals = st.builds(
    Journal,
    handled=maybe(st.tuples(numbers, numbers)),
    keys=st.dictionaries(words, st.frozensets(words, max_size=3), max_size=3),
    roll=maybe(rolls),
    saved=moments,
    usual_load=maybe(moments),
)
