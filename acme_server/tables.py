"""The rows of ACME objects: the only module of this room that speaks SQL.

Every change of a state is a conditional UPDATE that answers whether it happened, so of two that race exactly
one wins, on either database and from whatever process. Changes that belong together are made by the caller
inside one `store.transaction()`.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from acme_server.errors import AccountDoesNotExist
from acme_server.records import Account, AccountStatus, Authorization, Challenge, Order
from acme_server.windows import Window
from ca.errors import NotFound
from ca.records import Name
from ca.store import Shape, Store

ACCOUNT = Shape("acme_account", Account)
ORDER = Shape("acme_order", Order)
AUTHORIZATION = Shape("acme_authorization", Authorization)
CHALLENGE = Shape("acme_challenge", Challenge)


class Accounts:
    """Accounts, by id or by the thumbprint of their key."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, account: Account) -> bool:
        """Registers the account; False when its key has one already."""
        return self.store.change(ACCOUNT.insert((), "ON CONFLICT DO NOTHING"), *ACCOUNT.encode(account)) == 1

    def get(self, account_id: str) -> Account:
        """Raises `AccountDoesNotExist`."""
        return self._one("WHERE id = ?", account_id)

    def by_key(self, thumbprint: str) -> Account:
        """The account that has this key, in whatever state. Raises `AccountDoesNotExist`."""
        return self._one("WHERE thumbprint = ?", thumbprint)

    def recent(self, limit: int) -> tuple[Account, ...]:
        """The newest accounts, the newest first."""
        return self.store.select(ACCOUNT, "ORDER BY created_at DESC, id DESC LIMIT ?", limit)

    def set_contact(self, account_id: str, contact: str) -> bool:
        """`contact` is a JSON array."""
        return self._change("contact = ?", account_id, contact)

    def agree(self, account_id: str, terms: str) -> bool:
        """The account agreed to the terms at this URL."""
        return self._change("terms = ?", account_id, terms)

    def close(self, account_id: str, status: AccountStatus) -> bool:
        """For ever: `deactivated` by its owner, `revoked` by the CA."""
        return self._change("status = ?", account_id, status.value)

    def change_key(self, account: Account, thumbprint: str, jwk: str) -> bool:
        """Replaces exactly the key that `account` has. Raises `Conflict` if the new one has an account already."""
        sql = "UPDATE acme_account SET thumbprint = ?, jwk = ? WHERE id = ? AND status = 'valid' AND thumbprint = ?"
        return self.store.change(sql, thumbprint, jwk, account.id, account.thumbprint) == 1

    def _change(self, what: str, account_id: str, *values: str) -> bool:
        sql = f"UPDATE acme_account SET {what} WHERE id = ? AND status = 'valid'"  # noqa: S608 - constants of this class
        return self.store.change(sql, *values, account_id) == 1

    def _one(self, tail: str, value: str) -> Account:
        found = self.store.select(ACCOUNT, tail, value)
        if not found:
            raise AccountDoesNotExist("There is no such account.", next_step="Register one at newAccount.")
        return found[0]


class Orders:
    """Orders, and which authorizations they need."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, order: Order) -> None:
        """Places the order."""
        self.store.insert(ORDER, order)
        needs = [(order.id, authorization) for authorization in order.authorizations]
        if needs:
            self.store.change(_rows("INSERT INTO acme_need VALUES (?, ?)", len(needs)), *chain(*needs))

    def get(self, order_id: str) -> Order:
        """Raises `NotFound`."""
        return self.store.first("There is no such order.", ORDER, "WHERE id = ?", order_id)

    def of(self, account_id: str, after: Order | None, limit: int) -> tuple[Order, ...]:
        """Orders of an account that are not invalid, the newest first, from after one on."""
        tail = "WHERE account = ? AND status <> 'invalid' AND (created_at, id) < (?, ?)"
        start = (after.created_at, after.id) if after else (2**62, "")
        return self.store.select(ORDER, f"{tail} ORDER BY created_at DESC, id DESC LIMIT ?", account_id, *start, limit)

    def recent(self, limit: int, account_id: str = "") -> tuple[Order, ...]:
        """The newest orders, of everybody or of one account, the newest first."""
        tail = "ORDER BY created_at DESC, id DESC LIMIT ?"
        if account_id:
            return self.store.select(ORDER, f"WHERE account = ? {tail}", account_id, limit)
        return self.store.select(ORDER, tail, limit)

    def make_ready(self, authorization_id: str, expires: int) -> None:
        """Readies each pending order whose last authorization has become valid; none outlives an authorization."""
        self.store.change(_READY, expires, expires, authorization_id)

    def hold(self, authorization_id: str) -> None:
        """Keeps the orders that need this authorization as they are, until the transaction ends.

        Two authorizations of one order that become valid at once would otherwise not see each other.
        """
        self.store.rows(_HOLD, authorization_id)

    def claim(self, order: Order, intent: str, due_at: int, now: int) -> bool:
        """Begins the issuance: `ready` → `processing` for this intent and public key, or a waiting order's next try.

        Happens only while the account and every authorization are valid and nothing has expired. At `due_at`
        the issuance is taken for broken off.
        """
        return self.store.change(_CLAIM, intent, order.public_key, due_at, order.id, now, now) == 1

    def bind(self, order_id: str, intent: str, serial: str) -> bool:
        """Notes the certificate of the issuance under way; the order is not valid yet."""
        sql = "UPDATE acme_order SET certificate = ? WHERE id = ? AND status = 'processing' AND intent = ?"
        return self.store.change(sql, serial, order_id, intent) == 1

    def make_valid(self, order_id: str) -> bool:
        """`processing` → `valid`, once its certificate is there."""
        sql = "UPDATE acme_order SET status = 'valid' WHERE id = ? AND status = 'processing' AND certificate <> ''"
        return self.store.change(sql, order_id) == 1

    def wait(self, order_id: str, intent: str, due_at: int) -> bool:
        """Takes the issuance back of which it is certain that nothing was signed: the order waits for another try."""
        sql = (
            "UPDATE acme_order SET intent = '', due_at = ? "
            "WHERE id = ? AND status = 'processing' AND intent = ? AND certificate = ''"
        )
        return self.store.change(sql, due_at, order_id, intent) == 1

    def invalidate(self, order: Order, error: str) -> bool:
        """→ `invalid` with a problem document, unless its state or issuance has changed since it was read."""
        sql = (
            "UPDATE acme_order SET status = 'invalid', error = ? "
            "WHERE id = ? AND status = ? AND intent = ? AND certificate = ''"
        )
        return self.store.change(sql, error, order.id, order.status.value, order.intent) == 1

    def needing(self, authorization_id: str) -> tuple[Order, ...]:
        """Orders that cannot be had without this authorization and are not under way yet."""
        return self.store.select(ORDER, _NEEDING, authorization_id)

    def open_of(self, account_id: str) -> tuple[Order, ...]:
        """Orders of an account that are not under way yet."""
        return self.store.select(ORDER, "WHERE account = ? AND status IN ('pending', 'ready')", account_id)

    def expired(self, now: int, limit: int) -> tuple[Order, ...]:
        """Orders past their time that are not under way, or only wait; the longest first."""
        tail = (
            "WHERE status IN ('pending', 'ready', 'processing') AND expires <= ? "
            "AND intent = '' AND certificate = '' ORDER BY expires LIMIT ?"
        )
        return self.store.select(ORDER, tail, now, limit)

    def due(self, now: int, limit: int) -> tuple[Order, ...]:
        """Orders whose issuance broke off, or waits for its next try; the longest first."""
        tail = "WHERE status = 'processing' AND due_at <= ? ORDER BY due_at, id LIMIT ?"
        return self.store.select(ORDER, tail, now, limit)

    def purge(self, before: int, limit: int) -> int:
        """Deletes finished orders that expired before that time; answers how many."""
        with self.store.transaction():
            found = [row[0] for row in self.store.rows(_FINISHED_ORDERS, before, before, limit)]
            if found:
                marks = ", ".join("?" * len(found))
                self.store.change(f"DELETE FROM acme_need WHERE order_id IN ({marks})", *found)  # noqa: S608 - marks
                self.store.change(f"{_FREE_REPLACED} ({marks}))", *found)
                self.store.change(f"DELETE FROM acme_star WHERE order_id IN ({marks})", *found)  # noqa: S608 - marks
                self.store.change(f"DELETE FROM acme_order WHERE id IN ({marks})", *found)  # noqa: S608 - marks
        return len(found)


class Proofs:
    """Authorizations and their challenges."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, authorization: Authorization, challenges: Iterable[Challenge]) -> None:
        """A new authorization with the challenges that it offers."""
        self.store.insert(AUTHORIZATION, authorization)
        rows = [CHALLENGE.encode(challenge) for challenge in challenges]
        if rows:
            self.store.change(_rows(CHALLENGE.insert((), ""), len(rows)), *chain(*rows))

    def get(self, authorization_id: str) -> Authorization:
        """Raises `NotFound`."""
        return self.store.first("There is no such authorization.", AUTHORIZATION, "WHERE id = ?", authorization_id)

    def challenge(self, challenge_id: str) -> Challenge:
        """Raises `NotFound`."""
        return self.store.first("There is no such challenge.", CHALLENGE, "WHERE id = ?", challenge_id)

    def challenges(self, authorization_id: str) -> tuple[Challenge, ...]:
        """What an authorization offers."""
        return self.store.select(CHALLENGE, "WHERE authorization_id = ? ORDER BY id", authorization_id)

    def usable(self, account_id: str, name: Name, until: int, subdomains: bool = False) -> Authorization:
        """A valid authorization of this account for this name that lasts until then. Raises `NotFound`.

        With `subdomains`, one that is for all below it too.
        """
        return self._lasting("status = 'valid' AND subdomains >= ?", account_id, name, until, subdomains)

    def open(self, account_id: str, name: Name, until: int, subdomains: bool = False) -> Authorization:
        """The same, or one of that very kind which is still to be proved. Raises `NotFound`."""
        try:
            return self.usable(account_id, name, until, subdomains)
        except NotFound:
            return self._lasting("status = 'pending' AND subdomains = ?", account_id, name, until, subdomains)

    def _lasting(self, kind: str, account_id: str, name: Name, until: int, subdomains: bool) -> Authorization:
        tail = (
            "WHERE account = ? AND value = ? AND kind = ? AND expires > ? AND waived_by = '' "
            f"AND {kind} ORDER BY expires DESC LIMIT 1"
        )
        values = (account_id, name.value, name.kind.value, until, int(subdomains))
        return self.store.first("There is none.", AUTHORIZATION, tail, *values)

    def holds(self, account_id: str, name: Name, now: int) -> bool:
        """Whether the account may have certificates for this name now."""
        try:
            self.usable(account_id, name, now)
        except NotFound:
            return False
        return True

    def begin(self, challenge: Challenge, due_at: int, now: int) -> bool:
        """A challenge's first try: `pending` → `processing`, if its authorization is still pending."""
        return self.store.change(_BEGIN, due_at, challenge.id, now) == 1

    def again(self, challenge: Challenge, due_at: int) -> bool:
        """The next try of a challenge, for whoever is the first to take it; the try before it counts no more."""
        sql = (
            "UPDATE acme_challenge SET attempts = attempts + 1, due_at = ? "
            "WHERE id = ? AND status = 'processing' AND attempts = ?"
        )
        return self.store.change(sql, due_at, challenge.id, challenge.attempts) == 1

    def note(self, challenge: Challenge, error: str, due_at: int) -> bool:
        """A failed try that is not the last: its error is shown, the next try is due then."""
        sql = (
            "UPDATE acme_challenge SET error = ?, due_at = ?, failures = failures + 1 "
            "WHERE id = ? AND status = 'processing' AND attempts = ?"
        )
        return self.store.change(sql, error, due_at, challenge.id, challenge.attempts) == 1

    def pass_challenge(self, challenge: Challenge, now: int) -> bool:
        """The try met the challenge."""
        sql = (
            "UPDATE acme_challenge SET status = 'valid', validated_at = ?, error = '' "
            "WHERE id = ? AND status = 'processing' AND attempts = ?"
        )
        return self.store.change(sql, now, challenge.id, challenge.attempts) == 1

    def fail_challenge(self, challenge: Challenge, error: str) -> bool:
        """The last try failed."""
        sql = (
            "UPDATE acme_challenge SET status = 'invalid', error = ? "
            "WHERE id = ? AND status = 'processing' AND attempts = ?"
        )
        return self.store.change(sql, error, challenge.id, challenge.attempts) == 1

    def make_valid(self, authorization_id: str, expires: int) -> bool:
        """`pending` → `valid` until then."""
        sql = "UPDATE acme_authorization SET status = 'valid', expires = ? WHERE id = ? AND status = 'pending'"
        return self.store.change(sql, expires, authorization_id) == 1

    def make_invalid(self, authorization_id: str) -> bool:
        """`pending` → `invalid`."""
        sql = "UPDATE acme_authorization SET status = 'invalid' WHERE id = ? AND status = 'pending'"
        return self.store.change(sql, authorization_id) == 1

    def deactivate(self, authorization_id: str) -> bool:
        """`pending` or `valid` → `deactivated`: it is never used again."""
        sql = "UPDATE acme_authorization SET status = 'deactivated' WHERE id = ? AND status IN ('pending', 'valid')"
        return self.store.change(sql, authorization_id) == 1

    def close(self, account_id: str) -> int:
        """Ends every authorization of an account: `pending` → `deactivated`, `valid` → `revoked`."""
        sql = "UPDATE acme_authorization SET status = ? WHERE account = ? AND status = ?"
        moves = (("deactivated", "pending"), ("revoked", "valid"))
        return sum(self.store.change(sql, after, account_id, before) for after, before in moves)

    def expire(self, now: int) -> int:
        """`valid` → `expired` and `pending` → `invalid`, where the time is over."""
        over = "UPDATE acme_authorization SET status = ? WHERE status = ? AND expires <= ?"
        return self.store.change(over, "expired", "valid", now) + self.store.change(over, "invalid", "pending", now)

    def due(self, now: int, limit: int) -> tuple[Challenge, ...]:
        """Challenges whose try is overdue: its worker died, or could not begin."""
        tail = "WHERE status = 'processing' AND due_at <= ? ORDER BY due_at LIMIT ?"
        return self.store.select(CHALLENGE, tail, now, limit)

    def purge(self, before: int, limit: int) -> int:
        """Deletes authorizations that ended before that time and that no order needs, with their challenges."""
        with self.store.transaction():
            found = [row[0] for row in self.store.rows(_FINISHED_PROOFS, before, limit)]
            if found:
                marks = ", ".join("?" * len(found))
                challenges = f"DELETE FROM acme_challenge WHERE authorization_id IN ({marks})"  # noqa: S608 - marks
                self.store.change(challenges, *found)
                self.store.change(f"DELETE FROM acme_authorization WHERE id IN ({marks})", *found)  # noqa: S608 - marks
        return len(found)


class Renewals:
    """Which certificates were called to be renewed early, and which order replaces which certificate."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def called(self, serial: str) -> Window | None:
        """The window that a certificate was called for, if it was."""
        found = self.store.rows("SELECT start, ending FROM acme_renewal WHERE serial = ?", serial)
        return Window(*found[0]) if found else None

    def call(self, plan: Iterable[tuple[str, Window]]) -> None:
        """Gives each serial its window, in place of one that it has."""
        with self.store.transaction():
            for serial, window in plan:
                self.store.change(_CALL, serial, window.start, window.end)

    def busiest_minute(self, since: int) -> int:
        """The most certificates that were issued in one minute since then, among the newest 50,000."""
        found = self.store.rows(_BUSIEST, since)
        return int(found[0][0]) if found else 0

    def replace(self, serial: str, order: Order, not_after: int) -> int:
        """Notes that this order replaces the certificate of this serial; answers how many orders tried so far.

        0, and nothing changed, while another order does that has not failed.
        """
        found = self.store.rows(_REPLACE, serial, order.id, not_after, order.created_at)
        return int(found[0][0]) if found else 0

    def purge(self, before: int, limit: int) -> int:
        """Deletes windows that closed, and marks of certificates that ended, before that time."""
        replaced = "DELETE FROM acme_replacement WHERE serial IN (SELECT serial FROM acme_replacement WHERE {} LIMIT ?)"
        called = "DELETE FROM acme_renewal WHERE serial IN (SELECT serial FROM acme_renewal WHERE {} LIMIT ?)"
        done = self.store.change(replaced.format("not_after < ?"), before, limit)
        return done + self.store.change(called.format("ending < ?"), before, max(0, limit - done))


_BUSIEST = (  # bounded: there is no index of times, and this is asked in an incident
    "SELECT COUNT(*) FROM certificate WHERE id > (SELECT COALESCE(MAX(id), 0) - 50000 FROM certificate) "
    "AND issued_at >= ? GROUP BY issued_at / 60 ORDER BY COUNT(*) DESC LIMIT 1"
)
_FINISHED_ORDERS = (
    "SELECT id FROM acme_order WHERE (status IN ('valid', 'canceled') AND expires < ?) "
    "OR (status = 'invalid' AND expires < ?) ORDER BY id LIMIT ? {for_update}"
)
_FREE_REPLACED = (
    "DELETE FROM acme_replacement WHERE order_id IN (SELECT id FROM acme_order WHERE status = 'invalid' AND id IN"
)
_FINISHED_PROOFS = (
    "SELECT id FROM acme_authorization a WHERE status IN ('invalid', 'expired', 'deactivated', 'revoked') "
    "AND expires < ? AND NOT EXISTS (SELECT 1 FROM acme_need n WHERE n.authorization_id = a.id) "
    "ORDER BY id LIMIT ? {for_update}"
)
_CALL = (
    "INSERT INTO acme_renewal (serial, start, ending) VALUES (?, ?, ?) "
    "ON CONFLICT (serial) DO UPDATE SET start = excluded.start, ending = excluded.ending"
)
_REPLACE = (
    "INSERT INTO acme_replacement (serial, order_id, tries, not_after) VALUES (?, ?, 1, ?) "
    "ON CONFLICT (serial) DO UPDATE SET order_id = excluded.order_id, tries = acme_replacement.tries + 1 "
    "WHERE EXISTS (SELECT 1 FROM acme_order o WHERE o.id = acme_replacement.order_id "
    "AND (o.status = 'invalid' OR (o.status IN ('pending', 'ready') AND o.expires <= ?))) RETURNING tries"
)


@lru_cache(maxsize=256)
def _rows(one: str, count: int) -> str:
    """An INSERT of one row, made one of so many: a statement for all costs a fraction of one for each."""
    return one + f", {one[one.rindex('(') :]}" * (count - 1)


_HOLD = (
    "SELECT id FROM acme_order WHERE id IN (SELECT order_id FROM acme_need WHERE authorization_id = ?) "
    "ORDER BY id {for_update}"
)
_READY = (
    "UPDATE acme_order SET status = 'ready', expires = CASE WHEN expires > ? THEN ? ELSE expires END "
    "WHERE status = 'pending' AND id IN (SELECT order_id FROM acme_need WHERE authorization_id = ?) "
    "AND NOT EXISTS (SELECT 1 FROM acme_need n JOIN acme_authorization a ON a.id = n.authorization_id "
    "WHERE n.order_id = acme_order.id AND a.status <> 'valid')"
)
_CLAIM = (
    "UPDATE acme_order SET status = 'processing', intent = ?, public_key = ?, due_at = ? WHERE id = ? "
    "AND (status = 'ready' OR (status = 'processing' AND intent = '' AND certificate = '')) AND expires > ? "
    "AND EXISTS (SELECT 1 FROM acme_account c WHERE c.id = acme_order.account AND c.status = 'valid') "
    "AND NOT EXISTS (SELECT 1 FROM acme_need n JOIN acme_authorization a ON a.id = n.authorization_id "
    "WHERE n.order_id = acme_order.id AND (a.status <> 'valid' OR a.expires <= ?))"
)
_NEEDING = (
    "WHERE status IN ('pending', 'ready') AND id IN (SELECT order_id FROM acme_need WHERE authorization_id = ?) "
    "ORDER BY id {for_update}"
)
_BEGIN = (
    "UPDATE acme_challenge SET status = 'processing', attempts = 1, due_at = ? WHERE id = ? AND status = 'pending' "
    "AND EXISTS (SELECT 1 FROM acme_authorization a "
    "WHERE a.id = acme_challenge.authorization_id AND a.status = 'pending' AND a.expires > ?)"
)
