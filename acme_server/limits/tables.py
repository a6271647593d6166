"""The rows of limits and pauses; the only module of this room that speaks SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from acme_server.records import Authorization
from ca.records import Name, NameKind
from ca.store import Shape, Store


class Times:
    """When each subject of a limit is at rest again, in microseconds."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def advance(self, steps: Mapping[str, int], now: int) -> list[tuple[str, int]]:
        """Moves each subject on by its step, from now or from where it is, if that is later; in one statement.

        Subjects come sorted, so that two transactions never wait for each other.
        """
        values = [value for subject, step in steps.items() for value in (subject, now + step)]
        return [(str(row[0]), int(row[1])) for row in self.store.rows(_advance(len(steps)), *values, now, now, now)]

    def forget(self, now: int, limit: int) -> int:
        """Deletes subjects that are at rest: no row means the same."""
        sql = "DELETE FROM acme_limit WHERE subject IN (SELECT subject FROM acme_limit WHERE rest <= ? LIMIT ?)"
        return self.store.change(sql, now, limit)


@lru_cache(maxsize=256)
def _advance(count: int) -> str:
    rows = ", ".join(["(?, ?)"] * count)
    return (
        f"INSERT INTO acme_limit (subject, rest) VALUES {rows} "  # noqa: S608 - marks alone
        "ON CONFLICT (subject) DO UPDATE SET "
        "rest = CASE WHEN acme_limit.rest > ? THEN acme_limit.rest ELSE ? END + excluded.rest - ? "
        "RETURNING subject, rest"
    )


@dataclass(frozen=True, slots=True)
class Pause:
    """An account that may not order a name until somebody resumes it; `token` is the secret of the link for that."""

    account: str
    kind: NameKind
    value: str
    token: str
    failures: int
    paused_at: int
    resumed_at: int = 0

    @property
    def name(self) -> Name:
        """What is paused."""
        return Name(self.kind, self.value)


PAUSE = Shape("acme_pause", Pause)


class Pauses:
    """Pauses by account and name; `acme_account.paused` says whether it is worth looking."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def failures(self, authorization: Authorization) -> int:
        """How many authorizations of this account for this name failed since one was met, or since it was resumed."""
        key = (authorization.account, authorization.value, authorization.kind.value)
        return int(self.store.rows(_FAILURES, *key, *key, *key)[0][0])

    def add(self, pause: Pause) -> None:
        """Pauses, or pauses again."""
        self.store.change(PAUSE.insert((), _AGAIN), *PAUSE.encode(pause))
        self.store.change("UPDATE acme_account SET paused = 1 WHERE id = ?", pause.account)

    def of(self, account: str) -> tuple[Pause, ...]:
        """What is paused of an account."""
        return self.store.select(PAUSE, "WHERE account = ? AND resumed_at = 0 ORDER BY value", account)

    def by_token(self, token: str) -> tuple[Pause, ...]:
        """What the link with this secret resumes: everything that is paused of its account."""
        return self.store.select(PAUSE, _BEHIND_LINK, token)

    def resume(self, account: str, now: int) -> int:
        """Lets an account order everything again; answers how many names."""
        with self.store.transaction():
            self.store.change("UPDATE acme_account SET paused = 0 WHERE id = ?", account)
            sql = "UPDATE acme_pause SET resumed_at = ? WHERE account = ? AND resumed_at = 0"
            return self.store.change(sql, now, account)

    def forget(self, before: int, limit: int) -> int:
        """Deletes pauses that were resumed before that time."""
        sql = (
            "DELETE FROM acme_pause WHERE token IN "
            "(SELECT token FROM acme_pause WHERE resumed_at > 0 AND resumed_at < ? LIMIT ?)"
        )
        return self.store.change(sql, before, limit)


_AGAIN = (
    "ON CONFLICT (account, value, kind) DO UPDATE SET token = excluded.token, failures = excluded.failures, "
    "paused_at = excluded.paused_at, resumed_at = 0"
)
_BEHIND_LINK = (
    "WHERE resumed_at = 0 AND account = (SELECT account FROM acme_pause WHERE token = ? AND resumed_at = 0) "
    "ORDER BY value"
)
_FAILURES = (
    "SELECT COUNT(*) FROM acme_authorization WHERE account = ? AND value = ? AND kind = ? AND status = 'invalid' "
    "AND created_at > COALESCE((SELECT MAX(created_at) FROM acme_authorization WHERE account = ? AND value = ? "
    "AND kind = ? AND status IN ('valid', 'expired', 'revoked')), 0) "
    "AND created_at > COALESCE((SELECT resumed_at FROM acme_pause WHERE account = ? AND value = ? AND kind = ?), 0)"
)
