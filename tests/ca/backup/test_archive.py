"""Sealed archives: what goes in comes out, and whatever was done to the octets is noticed."""

import io
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca import config as configuration
from ca.backup import archive, seal
from ca.backup.restore import Sealed, load, verify
from ca.backup.take import Source, take
from ca.clock import system_clock
from ca.errors import BadRequest, Conflict
from ca.journal import Journal
from ca.records import SYSTEM, Event
from ca.store import Store, dump, migrate

SECRET, RECIPIENT = seal.new_identity()
NAMES = [f"clock:{number:04d}" for number in range(1200)]


def source(folder: Path, store: Store, pin: str = "") -> Source:
    file = folder / "certwright.toml"
    file.write_text(f'mode = "demo"\n# {pin}\n')
    return Source(configuration.load(file), file, store, system_clock())


def some(store: Store) -> Store:
    """Rows of several kinds: text, numbers, octets that are no text."""
    journal = Journal(store, system_clock)
    with store.transaction():
        for name in NAMES:
            store.set_setting(name, "ä \x01 ' \"")
        journal.append(Event("config.loaded", SYSTEM, "process:test", personal={"name": "Ünal"}))
    return store


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def filled(request: pytest.FixtureRequest) -> Iterator[Store]:
    url = (
        request.getfixturevalue("postgresql").create()
        if request.param == "postgresql"
        else request.getfixturevalue("sqlite_url")
    )
    store = Store.open(url)
    yield some(store)
    store.close()


def taken(folder: Path, store: Store, recipient: str = RECIPIENT) -> Path:
    path = folder / f"{secrets.token_hex(4)}.age"
    with path.open("wb") as out:
        take(source(folder, store), [recipient], out)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/empty.sqlite"
    migrate(url)
    store = Store.open(url)
    yield store
    store.close()


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with dump.snapshot(store):
        return {
            table: sorted((tuple(row) for batch in dump.rows(store, table, names) for row in batch), key=repr)
            for table in dump.TABLES
            for names in [sorted(dump.columns(store, table))]
        }


def test_every_row_comes_back_from_either_database(tmp_path, filled, empty):
    path = taken(tmp_path, filled)
    assert b"config.loaded" not in path.read_bytes()
    contents = verify(Sealed(path, SECRET))
    assert contents.files["certwright.toml"] == (tmp_path / "certwright.toml").read_bytes()
    load(empty, Sealed(path, SECRET))
    assert everything(empty) == everything(filled)
    assert len(empty.settings("clock:")) == len(NAMES)


@pytest.mark.slow
def test_postgresql_takes_what_sqlite_had_and_numbers_on(tmp_path, sqlite_store, postgresql):
    path = taken(tmp_path, some(sqlite_store))
    store = Store.open(postgresql.create())
    load(store, Sealed(path, SECRET))
    assert everything(store) == everything(sqlite_store)
    some(store)
    store.close()


def test_writers_go_on_and_are_not_in_it(tmp_path, sqlite_url, sqlite_store):
    path, seen = tmp_path / "beside.age", []

    def write_meanwhile(_: int) -> None:
        if not seen:
            seen.append(True)
            other = Store.open(sqlite_url)
            other.set_setting("later", "x")
            other.close()

    with path.open("wb") as out:
        take(source(tmp_path, some(sqlite_store)), [RECIPIENT], out, write_meanwhile)
    assert sqlite_store.setting("later") == "x"
    assert verify(Sealed(path, SECRET)).manifest.rows["setting"] == len(NAMES)


def test_nothing_is_written_unsealed(tmp_path, sqlite_store):
    with pytest.raises(BadRequest, match="no recipient"):
        take(source(tmp_path, sqlite_store), [], io.BytesIO())
    with pytest.raises(BadRequest, match="no recipient"):
        take(source(tmp_path, sqlite_store), ["age1nobody"], io.BytesIO())


def test_a_table_that_would_be_left_out_is_named(tmp_path, sqlite_store):
    sqlite_store.database.execute_sql("CREATE TABLE strange (id INTEGER)")
    with pytest.raises(Conflict, match="strange"):
        take(source(tmp_path, sqlite_store), [RECIPIENT], io.BytesIO())


def test_a_file_that_holds_the_pin_is_refused(tmp_path, sqlite_store):
    secrets_folder = tmp_path / "secrets"
    secrets_folder.mkdir()
    (secrets_folder / "pin").write_text("837465")
    (secrets_folder / "pin").chmod(0o600)
    take(source(tmp_path, sqlite_store, "18374651"), [RECIPIENT], io.BytesIO())
    with pytest.raises(BadRequest, match="holds the PIN"):
        take(source(tmp_path, sqlite_store, "the PIN is 837465"), [RECIPIENT], io.BytesIO())


def test_nothing_is_restored_over_anything(tmp_path, sqlite_store, empty):
    path = taken(tmp_path, some(sqlite_store))
    with pytest.raises(Conflict, match="not empty"):
        load(sqlite_store, Sealed(path, SECRET))


def test_another_key_opens_nothing(tmp_path, sqlite_store):
    path = taken(tmp_path, some(sqlite_store))
    with pytest.raises(BadRequest, match="cannot be opened"):
        verify(Sealed(path, seal.new_identity()[0]))
    with pytest.raises(BadRequest, match="no identity"):
        verify(Sealed(path, "# nothing\n"))


@pytest.mark.parametrize("place", [0.01, 0.5, 0.999])
def test_a_flipped_bit_and_a_cut_are_noticed_and_leave_nothing(tmp_path, sqlite_store, empty, place):
    path = taken(tmp_path, some(sqlite_store))
    octets = bytearray(path.read_bytes())
    at = int(len(octets) * place)
    octets[at] ^= 1
    (tmp_path / "flipped").write_bytes(octets)
    (tmp_path / "cut").write_bytes(path.read_bytes()[:at])
    for name in ("flipped", "cut"):
        with pytest.raises(BadRequest):
            load(empty, Sealed(tmp_path / name, SECRET))
        assert not empty.settings("clock:")


class Bent:
    """Archives that somebody sealed who has the recipient, as anybody has, with frames of his own."""

    def __init__(self, folder: Path, *frames: archive.Frame, manifest: bool = True) -> None:
        self.path = folder / "bent.age"

        def last(digest: str) -> archive.Manifest:
            return archive.Manifest(1, 0, (), "", {}, 0, "", 0, {}, None, digest if manifest else "00")

        with self.path.open("wb") as out:
            seal.seal(archive.packed(frames, last), out, seal.recipients_of([RECIPIENT]))


@pytest.mark.parametrize(
    "frames",
    [
        (archive.Table("sqlite_master", ("sql",)),),
        (archive.Table("setting", ("name", 'value"; DROP TABLE event; --')),),
        (archive.Rows((("x",),)),),
        (archive.Table("setting", ("name", "value")), archive.Rows(((1.5, {"a": 1}),))),
        (archive.File("../../etc/passwd", b"x"),),
        (),
    ],
)
def test_what_no_backup_holds_is_refused(tmp_path, empty, frames):
    with pytest.raises(BadRequest):
        load(empty, Sealed(Bent(tmp_path, *frames).path, SECRET))
    assert not empty.settings("")


def test_content_that_is_no_archive_is_refused(tmp_path, empty):
    path = tmp_path / "odd.age"
    for content in (b"hello", zlib.compress(b"\xff\xff\xff\xff"), zlib.compress(b"\x00\x00\x00\x01\xc1"), b""):
        with path.open("wb") as out:
            seal.seal([content], out, seal.recipients_of([RECIPIENT]))
        with pytest.raises(BadRequest, match="damaged"):
            load(empty, Sealed(path, SECRET))
