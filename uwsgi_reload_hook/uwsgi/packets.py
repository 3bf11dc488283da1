"""uwsgi packets, without I/O: those that subscribe and unsubscribe a node at a router.

A packet is modifier1, the body's length as 16 bits little-endian, modifier2, and the body. The body has, for each key
and each value, its length as 16 bits little-endian and its bytes. Modifier1 224 is a subscription, with
modifier2 0 to join and 1 to leave (core/subscription.c, uwsgi_send_subscription_from_fd).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from uwsgi_reload_hook.snapshot import HOOKS_LOAD, Node

__all__ = ["encode", "subscribe", "unsubscribe"]

_SUBSCRIPTION = 224


def encode(variables: Mapping[str, str], modifier1: int, modifier2: int) -> bytes:
    """Make one packet. Raises ValueError if a text or the body is longer than 65,535 bytes."""
    parts = []
    for text in (part for pair in variables.items() for part in pair):
        raw = text.encode(errors="surrogateescape")  # the bytes of the stats, UTF-8 or not
        parts.append(struct.pack("<H", _bounded(len(raw))) + raw)
    body = b"".join(parts)
    return struct.pack("<BHB", modifier1, _bounded(len(body)), modifier2) + body


def _bounded(length: int) -> int:
    limit = 0xFFFF
    if length > limit:
        raise ValueError(f"{length} bytes do not fit a uwsgi packet, which holds {limit}")
    return length


def subscribe(node: Node) -> bytes:
    """The packet that subscribes `node`, with the weight and the modifiers that the stats gave, and the hook's load."""
    return encode({**_variables(node), "load": str(HOOKS_LOAD)}, _SUBSCRIPTION, 0)


def unsubscribe(node: Node) -> bytes:
    """The packet that unsubscribes `node`: the router sends it no new request, and lets those in flight finish."""
    return encode(_variables(node), _SUBSCRIPTION, 1)


def _variables(node: Node) -> dict[str, str]:
    return {
        "key": node.key,
        "address": node.address,
        "modifier1": str(node.modifier1),
        "modifier2": str(node.modifier2),
        "cores": str(node.cores),
        "load": str(node.load),
        "weight": str(node.weight),
    }
