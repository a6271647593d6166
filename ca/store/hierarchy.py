"""Issuers, keys and responders. Generations are immutable: only states change."""

from ca.errors import NotFound
from ca.records import ALL_SHARDS, Issuer, Key, Responder
from ca.store.office import Office
from ca.store.tables import ISSUER, KEY, RESPONDER


class Hierarchy(Office):
    """Who may certify whom, with which keys."""

    def add_issuer(self, issuer: Issuer) -> None:
        """Records a new generation and opens its CRL shards. Raises `Conflict` if the id was ever used."""
        with self.transaction():
            self.insert(ISSUER, issuer)
            for shard in range(issuer.shards):
                self.change(_OPEN_SHARD, issuer.id, shard, 1, 1)
            if issuer.kind == "issuing":
                self.change(_OPEN_SHARD, issuer.id, ALL_SHARDS, 0, 0)

    def issuers(self) -> tuple[Issuer, ...]:
        """Every generation, the oldest first."""
        return self.select(ISSUER, "ORDER BY created_at, id")

    def issuer(self, issuer_id: str) -> Issuer:
        """The generation of that id. Raises `NotFound`."""
        return self.first(f"There is no issuer {issuer_id!r}.", ISSUER, "WHERE id = ?", issuer_id)

    def set_issuer_state(self, issuer_id: str, state: str) -> None:
        """Changes the state alone. Raises `NotFound`."""
        if not self.change("UPDATE issuer SET state = ? WHERE id = ?", state, issuer_id):
            raise NotFound(f"There is no issuer {issuer_id!r}.")

    def add_key(self, key: Key) -> None:
        """Records a new key. Raises `Conflict` if the id was ever used."""
        self.insert(KEY, key)

    def keys(self) -> tuple[Key, ...]:
        """Every key that ever was, the oldest first."""
        return self.select(KEY, "ORDER BY created_at, id")

    def key(self, key_id: str) -> Key:
        """The key of that id. Raises `NotFound`."""
        return self.first(f"There is no key {key_id!r}.", KEY, "WHERE id = ?", key_id)

    def set_key_state(self, key_id: str, state: str) -> None:
        """Changes the state alone; which changes are allowed is the key ring's rule. Raises `NotFound`."""
        if not self.change("UPDATE signing_key SET state = ? WHERE id = ?", state, key_id):
            raise NotFound(f"There is no key {key_id!r}.")

    def add_responder(self, responder: Responder) -> None:
        """Records a new OCSP responder of an issuer. Raises `Conflict` if its key has one already."""
        self.insert(RESPONDER, responder)

    def responder(self, issuer_id: str) -> Responder:
        """The newest responder of an issuer. Raises `NotFound` before the first."""
        tail = "WHERE issuer = ? ORDER BY not_before DESC, not_after DESC LIMIT 1"
        return self.first(f"{issuer_id} has no OCSP responder.", RESPONDER, tail, issuer_id)


_OPEN_SHARD = (
    "INSERT INTO shard (issuer, shard, generation, published_generation, number, this_update, next_update, open) "
    "VALUES (?, ?, ?, 0, 0, 0, 0, ?)"
)
