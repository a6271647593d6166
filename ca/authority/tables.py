"""What the authority asks of tables that no use case of the store covers: reading them through, for comparison."""

from collections.abc import Iterator

from ca.records import Certificate, Intent, Responder, serial_hex
from ca.store import Head, Store
from ca.store.tables import CERTIFICATE, HEAD, INTENT, RESPONDER

PAGE = 500


def intent_of(store: Store, issuer: str, serial: str) -> Intent:
    """The intent of a serial (hex), in whatever state. Raises `NotFound`."""
    return store.first(f"{issuer} never intended the serial {serial}.", INTENT, _SERIAL, issuer, serial)


def certificates(store: Store, issuer: str) -> Iterator[Certificate]:
    """Every certificate of an issuer, a page at a time, in the order of serials."""
    after = ""
    while page := store.select(CERTIFICATE, _CERTIFICATES, issuer, after, PAGE):
        yield from page
        after = serial_hex(page[-1].serial)


def responders(store: Store) -> tuple[Responder, ...]:
    """Every responder that was ever recorded."""
    return store.select(RESPONDER, "ORDER BY not_before")


def heads(store: Store) -> Iterator[Head]:
    """Every signed head of the journal, in order."""
    above = -1
    while page := store.select(HEAD, "WHERE size > ? ORDER BY size LIMIT ?", above, PAGE):
        yield from page
        above = page[-1].size


_SERIAL = "WHERE issuer = ? AND serial = ?"
_CERTIFICATES = "WHERE issuer = ? AND serial > ? ORDER BY serial LIMIT ?"
