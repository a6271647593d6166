"""`Store`: the records office with all its counters."""

from ca.errors import StoreUnavailable
from ca.store.blocklist import Blocklist
from ca.store.certificates import Certificates
from ca.store.client_certificates import ClientCertificates
from ca.store.database import POSTGRESQL, connect, disconnect, sqlite_path
from ca.store.edge import translated
from ca.store.event_search import EventSearch
from ca.store.events import Events
from ca.store.hierarchy import Hierarchy
from ca.store.idempotency import Idempotency
from ca.store.issuance import Issuance
from ca.store.jobs import Jobs
from ca.store.leases import Leases
from ca.store.lists import Lists
from ca.store.marks import Marks
from ca.store.masses import Masses
from ca.store.migrate import waiting
from ca.store.notices import Notices
from ca.store.people import People
from ca.store.proposals import Proposals
from ca.store.publications import Publications
from ca.store.pulse import PATIENCE, Pulse
from ca.store.recovery import Recovery
from ca.store.revocations import Revocations
from ca.store.search import Search
from ca.store.shards import Shards
from ca.store.stopwatches import Stopwatches
from ca.store.survey import Surveys
from ca.store.tags import Tags
from ca.store.targets import Targets
from ca.store.tokens import Tokens
from ca.store.views import Views

_DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


class Store(
    Hierarchy,
    Issuance,
    Certificates,
    Tags,
    Search,
    Revocations,
    Lists,
    Shards,
    Marks,
    Masses,
    Stopwatches,
    Publications,
    Targets,
    Notices,
    Blocklist,
    Tokens,
    People,
    ClientCertificates,
    Views,
    Proposals,
    Idempotency,
    Leases,
    Jobs,
    Events,
    Recovery,
    EventSearch,
    Surveys,
):
    """Every record of the authority, by subject; one class a subject, one database below them all."""

    pulse: Pulse

    @classmethod
    def open(cls, url: str, *, timeout: int = 10) -> "Store":
        """Opens a migrated database. `timeout` is how long a writer waits for a lock, in seconds.

        Raises `StoreUnavailable` when it is not there, cannot be reached, or waits for migrations: opening
        never makes or changes a table. No connection stays open, so a process may fork after it.
        """
        path = sqlite_path(url)
        if path is not None and not path.is_file():
            raise StoreUnavailable(f"There is no database at {path}.", next_step="Run 'certwright db migrate'.")
        store = cls(*connect(url, timeout))
        store.pulse = Pulse(Jobs(*connect(url, min(timeout, PATIENCE))))
        try:
            store._demand_tables()
        finally:
            store.close()
        return store

    def weaknesses(self) -> tuple[str, ...]:
        """What of this database's settings could lose what was committed, or let the service rewrite its journal."""
        if self._dialect is not POSTGRESQL:
            return ()
        off = [name for name in _DURABLE if self.rows(f"SHOW {name}")[0][0] == "off"]
        may_change = self.rows("SELECT has_table_privilege('event', 'UPDATE')")[0][0]
        return (*(f"{name} is off" for name in off), *(("its role may change the journal",) if may_change else ()))

    def close(self) -> None:
        """Closes every connection. The store may be used again: it opens new ones."""
        disconnect(self.database)
        self.pulse.close()

    def _demand_tables(self) -> None:
        with translated(), self.database.connection_context():
            missing = waiting(self.database)
        if missing:
            raise StoreUnavailable(
                f"The database lacks the migrations {', '.join(missing)}.", next_step="Run 'certwright db migrate'."
            )
