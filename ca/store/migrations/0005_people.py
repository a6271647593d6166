"""People who sign in at the UI: their credentials, sign-ins, one-time links, and what slows guessing down."""

from typing import Any

import peewee

from ca.store.columns import base, integer, octets, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes every table."""
    db.create_tables([*_people(db), *_sign_ins(db)], safe=False)


def _people(db: peewee.Database) -> list[type[peewee.Model]]:
    class Person(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        roles = text()
        teams = text()
        created_at = integer()
        created_by = text()
        granted_at = integer()
        granted_by = text()
        disabled_at = integer()
        password = text()
        totp = octets()
        totp_step = integer()

    class Passkey(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        person = text(index=True)
        name = text()
        public_key = octets()
        sign_count = integer()
        created_at = integer()
        last_used = integer()

    return [Person, Passkey]


def _sign_ins(db: peewee.Database) -> list[type[peewee.Model]]:
    class SignInLink(base(db)):  # type: ignore[misc]
        sha256 = text(primary_key=True)
        person = text(index=True)
        created_at = integer()
        expires_at = integer()
        used_at = integer()

    class SignIn(base(db, indexes=((("person", "expires_at"), False),))):  # type: ignore[misc]
        id = text(primary_key=True)
        person = text()
        method = text()
        created_at = integer()
        seen_at = integer()
        fresh_at = integer()
        expires_at = integer()
        ended_at = integer()
        address = text()
        agent = text()
        sha256 = text(unique=True)

    class WebauthnChallenge(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        purpose = text()
        expires_at = integer(index=True)

    class Throttle(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        failures = integer()
        until = integer(index=True)

    return [SignInLink, SignIn, WebauthnChallenge, Throttle]
