"""The role that writes on PostgreSQL: it can do all that the code does, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ca.errors import ConfigError, StoreUnavailable
from ca.records import Publication, Reason, Revocation
from ca.store import Store, migrate, pending
from ca.store.rights import NUMBERED, RIGHTS, role_of
from tests.ca.store.things import NOW, certificate, intent
from tests.conftest import Cluster

ROOT = Path(__file__).parents[3]
UPSERTED = (
    *("lease", "job_run", "setting", "publication", "shard", "throttle"),
    *("acme_renewal", "acme_replacement", "acme_limit"),
)
"""Changed by ON CONFLICT."""

STATEMENT = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM) (\w+)(?: SET ([^\"]*))?")


def statements() -> Iterator[tuple[str, str]]:
    """Verb and table of every change that stands in the code."""
    for path in (*ROOT.glob("ca/store/*.py"), *ROOT.glob("acme_server/**/tables.py"), *ROOT.glob("ca/*/tables.py")):
        for verb, table, _ in STATEMENT.findall(path.read_text()):
            if table in RIGHTS:
                yield verb.split()[0], table


def test_rights_are_those_that_the_code_needs() -> None:
    """Every table has its line, and UPDATE or DELETE is granted where the code has such a statement, nowhere else."""
    needed = set(statements())
    needed |= {("UPDATE", table) for table in UPSERTED}
    granted = {(verb, table) for table, verbs in RIGHTS.items() for verb in ("UPDATE", "DELETE") if verb in verbs}
    assert granted == {one for one in needed if one[0] != "INSERT"}
    assert {table for verb, table in needed if verb == "INSERT"} <= {t for t, v in RIGHTS.items() if "INSERT" in v}


@pytest.fixture
def writer_url(postgresql: Cluster) -> Iterator[str]:
    """The URL of the role `writer` in a fresh database of another's."""
    url = postgresql.lend_to_writer()
    yield url
    postgresql.drop(url)


def test_every_table_has_its_line(writer_url: str) -> None:
    store = Store.open(writer_url)
    tables = {row[0] for row in store.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    sequences = {row[0] for row in store.rows("SELECT sequencename FROM pg_sequences WHERE schemaname = 'public'")}
    assert tables == set(RIGHTS)
    assert sequences - {"schema_migration_id_seq"} == {f"{table}_id_seq" for table in NUMBERED}
    assert store.weaknesses() == ("fsync is off",)  # the tests' cluster
    store.close()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE event SET body = ''",
        "DELETE FROM event",
        "TRUNCATE event",
        "DROP TABLE event",
        "ALTER TABLE event ADD COLUMN more INT",
        "ALTER TABLE event DISABLE TRIGGER ALL",
        "CREATE TRIGGER t BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE TABLE mine (a INT)",
        "CREATE INDEX mine ON event (time)",
        "UPDATE journal_leaf SET hash = ''",
        "DELETE FROM journal_leaf",
        "UPDATE journal_head SET size = 0",
        "DELETE FROM journal_head",
        "UPDATE event_personal SET clear = ''",
        "DELETE FROM certificate",
        "UPDATE certificate SET der = ''",
        "UPDATE intent SET tbs = ''",
        "DELETE FROM revocation",
        "UPDATE revocation SET revoked_at = 0",
        "UPDATE issuer SET certificate = ''",
        "UPDATE signing_key SET spki = ''",
        "ALTER TABLE publication DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON publication FOR DELETE USING (true)",
        "UPDATE api_token SET sha256 = ''",
        "UPDATE schema_migration SET name = ''",
        "SELECT setval('event_id_seq', 1)",
        "SET ROLE certwright",
    ],
)
def test_the_writer_may_not(writer_url: str, sql: str) -> None:
    with psycopg.connect(writer_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql)


def test_the_writer_deletes_answers_and_no_other_publication(writer_url: str) -> None:
    store = Store.open(writer_url)
    for path in ("ocsp/aa/01", "crl/issuing-g1/0000.crl", "roots.pem"):
        store.put(Publication(path, b"x", 1, "application/octet-stream", NOW, NOW))
    with psycopg.connect(writer_url) as connection:
        connection.execute("DELETE FROM publication")
    assert [one.path for one in store.after(0)] == ["crl/issuing-g1/0000.crl", "roots.pem"]
    store.close()


def test_the_writer_issues_and_revokes(writer_url: str) -> None:
    store = Store.open(writer_url)
    one = intent()
    store.begin(one)
    store.finish(one.id, certificate(one))
    store.revoke(Revocation("issuing-g1", one.serial, NOW, Reason.KEY_COMPROMISE, one.actor, one.not_after))
    assert store.by_serial(one.serial).revoked_at == NOW
    store.close()


def test_the_writer_cannot_migrate_and_is_told_who_can(writer_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert migrate(writer_url) == []  # nothing waits: nothing is asked of the database
    owner = writer_url.replace("//writer@", "//certwright@")
    with psycopg.connect(owner) as connection:
        connection.execute("DELETE FROM schema_migration WHERE name = '0003_search'")
    with pytest.raises(StoreUnavailable) as caught:
        migrate(writer_url)
    assert "database.migrate_url" in caught.value.next_step
    assert pending(writer_url) == ["0003_search"]


def test_rights_are_granted_again_and_taken_back(writer_url: str) -> None:
    owner = writer_url.replace("//writer@", "//certwright@")
    with psycopg.connect(owner) as connection:
        connection.execute("GRANT ALL ON event TO writer")
    store = Store.open(writer_url)
    assert "its role may change the journal" in store.weaknesses()
    migrate(owner, writer="writer")
    assert store.weaknesses() == ("fsync is off",)
    store.close()


def test_a_role_is_named_by_its_url_and_by_nothing_else(postgresql: Cluster) -> None:
    assert role_of("postgresql://a@b/c") == role_of("postgresql:///c?user=a") == "a"
    with pytest.raises(ConfigError):
        role_of("postgresql:///c")
    with pytest.raises(StoreUnavailable):
        migrate(postgresql.url("migrated"), writer='x" OR "y; DROP TABLE event')
    assert Store.open(postgresql.url("migrated")).recent(1) == ()
