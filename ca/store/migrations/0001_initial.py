"""The tables of the authority: hierarchy, issuance, revocation, publication, journal, and what runs them.

A frozen copy, independent of the code of the day. Revocations, intents and journal entries refer to no other
row, so nothing that is deleted elsewhere can take them along (INC-12).
"""

from typing import Any

import peewee

from ca.store.columns import base, integer, octets, reference, text


def up(_migrator: Any, db: peewee.Database) -> None:
    """Makes every table."""
    for make in (_hierarchy, _issuance, _certificates, _status, _publication, _journal, _access, _work):
        tables = make(db)
        db.create_tables(tables, safe=False)
    db.execute_sql("INSERT INTO counter (name, value) VALUES ('publication', 0)")
    db.execute_sql("INSERT INTO journal_state (id, fence) VALUES (1, 0)")


def _hierarchy(db: peewee.Database) -> list[type[peewee.Model]]:
    class Issuer(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        name = text(index=True)
        kind = text()
        key_id = text()
        certificate = octets()
        parent = text()
        shards = integer()
        state = text()
        created_at = integer()

    class SigningKey(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        purpose = text()
        algorithm = text()
        spki = octets()
        state = text()
        software = integer()
        attributes = text()
        created_at = integer()
        owner = text()

    class Responder(base(db, indexes=((("issuer", "not_before"), False),))):  # type: ignore[misc]
        key_id = text(primary_key=True)
        issuer = text()
        certificate = octets()
        not_before = integer()
        not_after = integer()

    return [Issuer, SigningKey, Responder]


def _issuance(db: peewee.Database) -> list[type[peewee.Model]]:
    indexes = ((("issuer", "serial"), True), (("state", "created_at"), False))

    class Intent(base(db, indexes=indexes)):  # type: ignore[misc]
        id = text(primary_key=True)
        issuer = text()
        serial = text()
        tbs = octets()
        profile = text()
        not_before = integer()
        not_after = integer()
        actor = text()
        names = text()
        common_name = text()
        owner = text()
        order = text()
        account = text()
        token = text()
        replaces = text()
        request_id = text()
        state = text()
        created_at = integer()

    return [Intent]


def _certificates(db: peewee.Database) -> list[type[peewee.Model]]:
    indexes = (
        (("serial", "issuer"), True),
        (("issued_at", "id"), False),
        (("not_after", "id"), False),
        (("sort_name", "id"), False),
        (("profile", "issued_at", "id"), False),
    )

    class Certificate(base(db, indexes=indexes)):  # type: ignore[misc]
        id = peewee.BigAutoField()
        issuer = text()
        serial = text()
        der = octets()
        sha256 = text(unique=True)
        profile = text()
        names = text()
        not_before = integer()
        not_after = integer()
        issued_at = integer()
        common_name = text()
        owner = text()
        order = text()
        account = text()
        token = text()
        replaces = text()
        revoked_at = integer()
        reason = text()
        spki_sha256 = text(index=True)
        sort_name = text()

    # Each index is a page to write for each certificate: what is mostly empty is indexed only where it is not.
    for column in (Certificate.owner, Certificate.account, Certificate.token, Certificate.order, Certificate.replaces):
        index = Certificate.index(column, Certificate.issued_at, Certificate.id, name=f"certificate_{column.name}")
        Certificate.add_index(index.where(column != ""))
    revoked = Certificate.index(Certificate.issued_at, Certificate.id, name="certificate_revoked")
    Certificate.add_index(revoked.where(Certificate.revoked_at > 0))

    class CertificateName(base(db, primary_key=peewee.CompositeKey("certificate", "kind", "value"))):  # type: ignore[misc]
        certificate = reference("certificate")
        kind = text()
        value = text(index=True)
        reversed = text(index=True)

    return [Certificate, CertificateName]


def _status(db: peewee.Database) -> list[type[peewee.Model]]:
    serial = peewee.CompositeKey("issuer", "serial")

    class Revocation(base(db, indexes=((("issuer", "shard", "not_after"), False),), primary_key=serial)):  # type: ignore[misc]
        issuer = text()
        serial = text()
        revoked_at = integer()
        reason = text()
        actor = text()
        not_after = integer()
        comment = text()
        invalidity_date = integer()
        shard = integer()

    class Shard(base(db, primary_key=peewee.CompositeKey("issuer", "shard"))):  # type: ignore[misc]
        issuer = text()
        shard = integer()
        generation = integer()
        published_generation = integer()
        number = integer()
        this_update = integer()
        next_update = integer()
        open = integer()

    class Ocsp(base(db, indexes=((("held", "refresh_at"), False),), primary_key=serial)):  # type: ignore[misc]
        issuer = text()
        serial = text()
        generation = integer()
        published_generation = integer()
        refresh_at = integer()
        next_update = integer()
        not_after = integer()
        held = integer()

    return [Revocation, Shard, Ocsp]


def _publication(db: peewee.Database) -> list[type[peewee.Model]]:
    class Publication(base(db)):  # type: ignore[misc]
        path = text(primary_key=True)
        body = octets()
        version = integer()
        content_type = text()
        this_update = integer()
        fresh_until = integer()
        fence = integer()
        seq = integer(unique=True)

    class Counter(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        value = integer()

    return [Publication, Counter]


def _journal(db: peewee.Database) -> list[type[peewee.Model]]:
    class Event(base(db)):  # type: ignore[misc]
        id = peewee.BigAutoField()
        time = integer(index=True)
        action = text()
        actor = text(index=True)
        target = text(index=True)
        body = octets()

    class EventPersonal(base(db, primary_key=peewee.CompositeKey("event", "name"))):  # type: ignore[misc]
        event = reference("event")
        name = text()
        clear = text()
        salt = octets()

    class JournalQueue(base(db)):  # type: ignore[misc]
        event = reference("event", primary_key=True)

    class JournalLeaf(base(db)):  # type: ignore[misc]
        index = integer(primary_key=True)
        event = reference("event", unique=True)
        hash = octets()
        chain = octets()

    class JournalHead(base(db)):  # type: ignore[misc]
        size = integer(primary_key=True)
        origin = text()
        hash = octets()
        signature = octets()
        key_id = text()
        time = integer()
        fence = integer()

    class JournalState(base(db)):  # type: ignore[misc]
        id = integer(primary_key=True)
        fence = integer()

    return [Event, EventPersonal, JournalQueue, JournalLeaf, JournalHead, JournalState]


def _access(db: peewee.Database) -> list[type[peewee.Model]]:
    class ApiToken(base(db)):  # type: ignore[misc]
        id = text(primary_key=True)
        name = text()
        profiles = text()
        patterns = text()
        created_by = text()
        created_at = integer(index=True)
        expires_at = integer()
        owner = text()
        allow_wildcard = integer()
        revoked_at = integer()
        last_used = integer()
        sha256 = text(unique=True)

    request = peewee.CompositeKey("principal", "method", "path", "key")

    class Idempotency(base(db, primary_key=request)):  # type: ignore[misc]
        principal = text()
        method = text()
        path = text()
        key = text()
        body_sha256 = text()
        intent = text()
        status = integer()
        response = octets()
        created_at = integer(index=True)

    return [ApiToken, Idempotency]


def _work(db: peewee.Database) -> list[type[peewee.Model]]:
    class Lease(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        holder = text()
        fence = integer()
        life = integer()
        expires_at = integer()

    class JobRun(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        started = integer()
        ended = integer()
        ok = integer()
        detail = text()
        succeeded_at = integer()

    class Setting(base(db)):  # type: ignore[misc]
        name = text(primary_key=True)
        value = text()

    return [Lease, JobRun, Setting]
