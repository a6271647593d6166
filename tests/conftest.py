"""Fixtures for every room: a clock that the test owns, and a migrated store on SQLite and on PostgreSQL.

PostgreSQL is a private cluster in a temporary folder, reached over a Unix socket; where its programs are
missing, its half of each test is skipped and says so.
"""

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import structlog

from ca.store import Store, migrate
from tests.suite import turn


class OwnClock:
    """Stands at `now` until a test moves it."""

    def __init__(self, now: int = 1_800_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Workers, which take a file at a time, get the longest first, so that they end together; alone, files keep their
    order. Within a file nothing moves.
    """
    if hasattr(config, "workerinput"):
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: turn(item.path, tests[item.path]))


@pytest.fixture
def clock() -> OwnClock:
    """A clock that the test owns."""
    return OwnClock()


@pytest.fixture(autouse=True)
def _logs_as_at_the_start() -> Iterator[None]:
    """A test that runs a command in this process leaves its log level to nobody."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


# --- PostgreSQL ---------------------------------------------------------------------------------

ROLE = "certwright"


@dataclass
class Cluster:
    """A private PostgreSQL. `create()` makes a fresh migrated database and answers its URL."""

    folder: Path
    programs: Path
    process: "subprocess.Popen[bytes] | None" = None
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def start(self, **options: str) -> None:
        """Starts it, and returns when it answers."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "shared_buffers": "32MB"}
        words = itertools.chain(*(("-c", f"{key}={value}") for key, value in {**settings, **options}.items()))
        command = [*_as_somebody(), self.programs / "postgres", "-D", self.folder / "data", *words]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/", start_new_session=True)
        deadline = time.monotonic() + 30
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(20)

    def kill(self) -> None:
        """SIGKILL to the server and everything that it started."""
        assert self.process is not None
        own = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        backends = [int(pid) for pid in own.read_text().split()]  # each is a process group of its own
        for pid in (self.process.pid, *backends):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(20)
        deadline = time.monotonic() + 20  # while one lives, its successor is refused the shared memory
        while any(map(_lives, backends)) and time.monotonic() < deadline:
            time.sleep(0.01)

    def url(self, database: str) -> str:
        return f"postgresql://{ROLE}@/{database}?host={self.folder}"

    def create(self, template: str = "migrated") -> str:
        name = f"test{next(self.numbers)}"
        # A template may have no session: one of the migration, or autovacuum's, may still be ending.
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{template}'")
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def lend_to_writer(self) -> str:
        """The URL of a fresh migrated database for the role `writer`, which has the rights of a service alone."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'writer'").fetchone():
                connection.execute("CREATE ROLE writer LOGIN")
        owner = self.create()
        migrate(owner, writer="writer")
        return owner.replace(f"//{ROLE}@", "//writer@")

    def drop(self, url: str) -> None:
        self.run(f"DROP DATABASE {url.partition('@/')[2].partition('?')[0]} WITH (FORCE)")

    def run(self, sql: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql)


def _lives(pid: int) -> bool:
    """Whether a process is there and not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def postgresql_programs() -> Path | None:
    """The folder of initdb and postgres: on PATH, or the newest where Debian puts them."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None


def _as_somebody() -> list[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


@contextmanager
def cluster(**options: str) -> Iterator[Cluster]:
    """A new private PostgreSQL; skips the test where there is none."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL's programs are not installed (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="cw-pg-") as name:
        made = Cluster(Path(name), programs)
        if os.geteuid() == 0:
            shutil.chown(name, "nobody", "nogroup")
        init = [programs / "initdb", "-D", made.folder / "data", "-U", ROLE, "-A", "trust", "-E", "UTF8"]
        init += ["--locale=C.UTF-8", "-N"]
        subprocess.run([*_as_somebody(), *init], check=True, stdout=subprocess.DEVNULL, cwd="/")
        made.start(**options)
        try:
            made.run("CREATE DATABASE migrated")
            migrate(made.url("migrated"))
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Cluster]:
    """A private PostgreSQL for this test session."""
    with cluster(fsync="off") as made:
        yield made


# --- stores -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy from."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh migrated SQLite database."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'certwright.sqlite')}"


@pytest.fixture
def postgresql_url(postgresql: Cluster) -> Iterator[str]:
    """The URL of a fresh migrated PostgreSQL database."""
    url = postgresql.create()
    yield url
    postgresql.drop(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated database of each kind."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store on each kind of database."""
    opened = Store.open(store_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_store(sqlite_url: str) -> Iterator[Store]:
    """A store on SQLite, for tests to which the kind of database is all the same."""
    opened = Store.open(sqlite_url)
    yield opened
    opened.close()
