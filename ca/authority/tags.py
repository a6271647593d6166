"""Tags: short labels of people, `critical` or `env=prod`, by which certificates are found again.

A key stands once on a certificate, with a value or without. Nothing but searches looks at tags: no rule, no right
and no mass revocation hangs on what is so easily changed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ca.authority.desk import Desk
from ca.authority.owners import in_order
from ca.errors import BadRequest
from ca.records import Actor, Certificate, Event, serial_hex

MOST = 20
"""Tags of one certificate."""

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_VALUE = 60


@dataclass(frozen=True, slots=True)
class Change:
    """Tags to set, in place of those of the same key, and keys to take off."""

    set: tuple[str, ...] = ()
    off: tuple[str, ...] = ()


def parse(texts: Iterable[str]) -> tuple[str, ...]:
    """Tags as people write them, in order. Raises `BadRequest` for what is none, two of one key, and too many."""
    found = tuple(sorted({_tag(text.strip()) for text in texts if text.strip()}))
    if len({key_of(one) for one in found}) < len(found):
        raise BadRequest("A key stands once on a certificate.", next_step="Give each key one value.")
    if len(found) > MOST:
        raise _too_many()
    return found


def parse_change(put: Iterable[str], off: Iterable[str]) -> Change:
    """A change, as people write it: tags to set, and keys to take off. Raises `BadRequest`, also for none at all."""
    change = Change(parse(put), tuple(map(key_of, parse(off))))
    if change == Change():
        raise BadRequest("There is nothing to change.", next_step="Name tags to set, or keys to take off.")
    return change


def key_of(tag: str) -> str:
    """`env` of `env=prod`, and of `env`."""
    return tag.partition("=")[0]


def retag(desk: Desk, certificates: Iterable[Certificate], change: Change, actor: Actor) -> int:
    """Changes their tags, all or none, each journalled; answers how many changed. Raises `BadRequest` past `MOST`."""
    with desk.store.transaction():
        return sum(_retag(desk, one, change, actor) for one in in_order(certificates))


def _retag(desk: Desk, one: Certificate, change: Change, actor: Actor) -> bool:
    row, before = desk.store.tags_for_change(one)
    dropped = {*map(key_of, change.set), *change.off}
    after = tuple(sorted({*(tag for tag in before if key_of(tag) not in dropped), *change.set}))
    if after == before:
        return False
    if len(after) > MOST:
        raise _too_many()
    gone, new = sorted({*before} - {*after}), sorted({*after} - {*before})
    desk.store.change_tags(row, gone, [(key_of(tag), tag) for tag in new])
    target = f"certificate:{one.issuer}:{serial_hex(one.serial)}"
    desk.journal.append(Event("certificate.tagged", actor, target, detail={"set": new, "off": gone}))
    return True


def _tag(text: str) -> str:
    key, equals, value = text.partition("=")
    plain = value.isprintable() and len(value) <= _VALUE and value == value.strip() and not {*value} & {*'",'}
    if not _KEY.fullmatch(key) or not plain or bool(equals) != bool(value):
        raise BadRequest(
            f"{text[:80]!r} is no tag.",
            next_step=f"Write key or key=value: the key of a-z, 0-9 and . _ - (at most 40), the value printable "
            f'(at most {_VALUE}), without " and comma.',
        )
    return text


def _too_many() -> BadRequest:
    return BadRequest(f"A certificate has at most {MOST} tags.", next_step="Take some off.")
