"""When each job of the scheduler last ran, and small settings."""

from ca.errors import NotFound
from ca.store.office import Office
from ca.store.tables import JOB_RUN
from ca.store.values import JobRun


class Jobs(Office):
    """One row a job: the last run and the end of the last good one."""

    def job_ran(self, name: str, started: int, ended: int, ok: bool, detail: str = "") -> None:
        """Records a run as the last one."""
        self.change(_RAN, name, started, ended, int(ok), detail, ended if ok else 0)

    def last_run(self, name: str) -> JobRun:
        """The last run of a job. Raises `NotFound` if it never ran."""
        return self.first(f"The job {name!r} never ran.", JOB_RUN, "WHERE name = ?", name)

    def runs(self) -> tuple[JobRun, ...]:
        """The last run of every job."""
        return self.select(JOB_RUN, "ORDER BY name")

    def setting(self, name: str) -> str:
        """A setting that is kept in the database. Raises `NotFound`."""
        found = self.rows("SELECT value FROM setting WHERE name = ?", name)
        if not found:
            raise NotFound(f"There is no setting {name!r}.")
        return str(found[0][0])

    def settings(self, prefix: str) -> dict[str, str]:
        """Every setting whose name begins so."""
        return dict(
            self.rows("SELECT name, value FROM setting WHERE name >= ? AND name < ?", prefix, prefix + "\uffff")
        )

    def set_setting(self, name: str, value: str) -> None:
        """Keeps a setting."""
        self.change(_SET, name, value)


_RAN = (
    "INSERT INTO job_run (name, started, ended, ok, detail, succeeded_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET started = excluded.started, ended = excluded.ended, ok = excluded.ok, "
    "detail = excluded.detail, "
    "succeeded_at = CASE WHEN excluded.succeeded_at > 0 THEN excluded.succeeded_at ELSE job_run.succeeded_at END"
)
_SET = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
