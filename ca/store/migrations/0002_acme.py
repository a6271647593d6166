"""The tables of the ACME server: accounts, orders, authorizations, challenges."""

from typing import Any

import peewee

from ca.store.columns import base, integer, octets, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes every table."""
    db.create_tables([*_accounts(db), *_orders(db), *_proofs(db)], safe=False)


def _accounts(db: peewee.Database) -> list[type[peewee.Model]]:
    class AcmeAccount(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        thumbprint = text(unique=True)
        jwk = text()
        status = text()
        contact = text()
        terms = text()
        created_at = integer(index=True)

    return [AcmeAccount]


def _orders(db: peewee.Database) -> list[type[peewee.Model]]:
    indexes = (
        (("account", "created_at", "id"), False),
        (("created_at", "id"), False),
        (("status", "expires"), False),
        (("status", "due_at"), False),
    )

    class AcmeOrder(base(db, indexes=indexes)):  # type: ignore[misc]
        id = text(primary_key=True)
        account = text()
        status = text()
        profile = text()
        identifiers = text()
        authorizations = text()
        not_before = integer()
        not_after = integer()
        expires = integer()
        created_at = integer()
        error = text()
        intent = text()
        public_key = octets()
        certificate = text()
        due_at = integer()

    class AcmeNeed(base(db, primary_key=peewee.CompositeKey("order_id", "authorization_id"))):  # type: ignore[misc]
        """Which order needs which authorization."""

        order_id = text()
        authorization_id = text(index=True)

    return [AcmeOrder, AcmeNeed]


def _proofs(db: peewee.Database) -> list[type[peewee.Model]]:
    indexes = ((("account", "value", "status"), False), (("status", "expires"), False))

    class AcmeAuthorization(base(db, indexes=indexes)):  # type: ignore[misc]
        id = text(primary_key=True)
        account = text()
        kind = text()
        value = text()
        status = text()
        expires = integer()
        created_at = integer()

    class AcmeChallenge(base(db, indexes=((("status", "due_at"), False),))):  # type: ignore[misc]
        id = text(primary_key=True)
        account = text()
        authorization_id = text(index=True)
        type = text()
        token = text()
        status = text()
        validated_at = integer()
        error = text()
        attempts = integer()
        failures = integer()
        due_at = integer()
        trail = text()

    return [AcmeAuthorization, AcmeChallenge]
