"""People and their sign-ins. Secrets stand here as digests, hashes, or sealed under what only their owner knows."""

from ca.errors import NotFound
from ca.people import Passkey, Person, SignIn
from ca.store.office import Office
from ca.store.tables import PASSKEY, PERSON, SIGN_IN

SEEN_EVERY = 60
"""Seconds between two notes that a sign-in was used: not every page may write."""


class People(Office):
    """Who may sign in, by what, and who is signed in."""

    # --- people -------------------------------------------------------------------------------

    def add_person(self, person: Person) -> None:
        """Records a new person. Raises `Conflict` if the name was ever taken."""
        self.insert(PERSON, person)

    def person(self, name: str) -> Person:
        """The person of that name, also when disabled. Raises `NotFound`."""
        return self.first(f"There is no user {name[:80]!r}.", PERSON, "WHERE id = ?", name)

    def person_of(self, subject: str) -> Person:
        """Who that is at a provider of OpenID Connect. Raises `NotFound`."""
        return self.first("There is no such user.", PERSON, "WHERE subject = ? AND subject <> ''", subject)

    def people(self) -> tuple[Person, ...]:
        """Everybody who ever was invited, by name."""
        return self.select(PERSON, "ORDER BY id")

    def set_grants(self, person: Person) -> None:
        """Exchanges roles and teams, and who granted them when."""
        encoded = dict(zip(PERSON.columns, PERSON.encode(person), strict=True))
        values = [encoded[name] for name in ("roles", "teams", "granted_at", "granted_by", "id")]
        self.change("UPDATE person SET roles = ?, teams = ?, granted_at = ?, granted_by = ? WHERE id = ?", *values)

    def set_disabled(self, name: str, at: int) -> None:
        """Shuts a person out (`at` in epoch seconds), or lets him in again (0)."""
        self.change("UPDATE person SET disabled_at = ? WHERE id = ?", at, name)

    def set_password(self, name: str, password: str, totp: bytes) -> None:
        """Exchanges hash and sealed one-time-password secret together."""
        sql = "UPDATE person SET password = ?, totp = ?, totp_step = 0 WHERE id = ?"
        self.change(sql, password, totp, name)

    def use_totp_step(self, name: str, step: int) -> bool:
        """Whether that step was not used before, nor a later one; of two at once one wins."""
        return bool(self.change("UPDATE person SET totp_step = ? WHERE id = ? AND totp_step < ?", step, name, step))

    # --- passkeys -----------------------------------------------------------------------------

    def add_passkey(self, passkey: Passkey) -> None:
        """Records a new passkey. Raises `Conflict` if it is known."""
        self.insert(PASSKEY, passkey)

    def passkey(self, passkey_id: str) -> Passkey:
        """The passkey of that id. Raises `NotFound`."""
        return self.first("There is no such passkey.", PASSKEY, "WHERE id = ?", passkey_id)

    def passkeys(self, person: str) -> tuple[Passkey, ...]:
        """A person's passkeys, the oldest first."""
        return self.select(PASSKEY, "WHERE person = ? ORDER BY created_at, id", person)

    def passkey_used(self, passkey_id: str, sign_count: int, now: int) -> None:
        """Notes a use and the authenticator's own count."""
        self.change("UPDATE passkey SET sign_count = ?, last_used = ? WHERE id = ?", sign_count, now, passkey_id)

    def remove_passkey(self, person: str, passkey_id: str) -> None:
        """Forgets a person's passkey. Raises `NotFound`."""
        if not self.change("DELETE FROM passkey WHERE id = ? AND person = ?", passkey_id, person):
            raise NotFound("There is no such passkey.")

    # --- one-time links -----------------------------------------------------------------------

    def add_link(self, person: str, sha256: str, now: int, expires_at: int) -> None:
        """Records a new link by the digest of its token; the person's older ones end."""
        self.change("UPDATE sign_in_link SET used_at = ? WHERE person = ? AND used_at = 0", now, person)
        sql = "INSERT INTO sign_in_link (sha256, person, created_at, expires_at, used_at) VALUES (?, ?, ?, ?, 0)"
        self.change(sql, sha256, person, now, expires_at)

    def use_link(self, sha256: str, now: int) -> str:
        """Uses a link up and answers whose it is. Raises `NotFound` for one that is unknown, used or past its time."""
        sql = "UPDATE sign_in_link SET used_at = ? WHERE sha256 = ? AND used_at = 0 AND expires_at > ? RETURNING person"
        with self.transaction():
            found = self.rows(sql, now, sha256, now)
        if not found:
            raise NotFound("There is no such link.")
        return str(found[0][0])

    # --- sign-ins -----------------------------------------------------------------------------

    def add_sign_in(self, one: SignIn, sha256: str) -> None:
        """Records a new sign-in by the digest of its cookie."""
        self.insert(SIGN_IN, one, sha256=sha256)

    def sign_in(self, sha256: str) -> SignIn:
        """The sign-in of a cookie's digest, also one that ended. Raises `NotFound`."""
        return self.first("There is no such sign-in.", SIGN_IN, "WHERE sha256 = ?", sha256)

    def sign_ins(self, person: str, now: int) -> tuple[SignIn, ...]:
        """A person's sign-ins that may still hold, the newest first."""
        tail = "WHERE person = ? AND expires_at > ? AND ended_at = 0 ORDER BY created_at DESC, id LIMIT 100"
        return self.select(SIGN_IN, tail, person, now)

    def sign_in_seen(self, one: SignIn, now: int) -> None:
        """Notes a use, at most once in `SEEN_EVERY` seconds."""
        if one.seen_at <= now - SEEN_EVERY:
            self.change("UPDATE sign_in SET seen_at = ? WHERE id = ? AND seen_at < ?", now, one.id, now)

    def sign_in_fresh(self, sign_in_id: str, method: str, now: int) -> None:
        """Notes that the person proved again to be there."""
        self.change("UPDATE sign_in SET fresh_at = ?, method = ? WHERE id = ?", now, method, sign_in_id)

    def end_sign_in(self, person: str, sign_in_id: str, now: int) -> None:
        """Ends a person's sign-in at once; twice is no error. Raises `NotFound`."""
        sql = (
            "UPDATE sign_in SET ended_at = CASE WHEN ended_at = 0 THEN ? ELSE ended_at END WHERE id = ? AND person = ?"
        )
        if not self.change(sql, now, sign_in_id, person):
            raise NotFound("There is no such sign-in.")

    def end_sign_ins(self, person: str, now: int) -> None:
        """Ends all of a person's sign-ins."""
        self.change("UPDATE sign_in SET ended_at = ? WHERE person = ? AND ended_at = 0", now, person)

    # --- challenges and throttling ------------------------------------------------------------

    def add_challenge(self, challenge: str, purpose: str, now: int, expires_at: int, most: int) -> None:
        """Records a WebAuthn challenge; forgets those past their time, and all but the newest `most` of its purpose."""
        with self.transaction():
            self.change("DELETE FROM webauthn_challenge WHERE expires_at <= ?", now)
            sql = "INSERT INTO webauthn_challenge (id, purpose, expires_at) VALUES (?, ?, ?)"
            self.change(sql, challenge, purpose, expires_at)
            self.change(_CROWDED_OUT, purpose, most)

    def use_challenge(self, challenge: str, purpose: str, now: int) -> bool:
        """Whether that challenge was open for that purpose; it is used up."""
        sql = "DELETE FROM webauthn_challenge WHERE id = ? AND purpose = ? AND expires_at > ?"
        return bool(self.change(sql, challenge, purpose, now))

    def failures(self, name: str) -> tuple[int, int]:
        """How often that name failed in a row, and until when it has to wait (epoch seconds)."""
        found = self.rows("SELECT failures, until FROM throttle WHERE name = ?", name)
        return (int(found[0][0]), int(found[0][1])) if found else (0, 0)

    def set_failures(self, name: str, failures: int, until: int, forget: int) -> None:
        """Notes failures; names that waited until before `forget` are forgotten."""
        self.change("DELETE FROM throttle WHERE until < ?", forget)
        self.change(_FAILED, name, failures, until)

    def clear_failures(self, name: str) -> None:
        """Forgets what that name failed."""
        self.change("DELETE FROM throttle WHERE name = ?", name)


_CROWDED_OUT = (
    "DELETE FROM webauthn_challenge WHERE id IN "
    "(SELECT id FROM webauthn_challenge WHERE purpose = ? ORDER BY expires_at DESC, id LIMIT 100 OFFSET ?)"
)
_FAILED = (
    "INSERT INTO throttle (name, failures, until) VALUES (?, ?, ?) "
    "ON CONFLICT (name) DO UPDATE SET failures = excluded.failures, until = excluded.until"
)
