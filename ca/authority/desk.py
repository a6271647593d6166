"""The desk: the collaborators that every use case shares, and the few look-ups that they all need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock

from ca.authority.wallclock import WallClock
from ca.clock import Clock
from ca.config import Config
from ca.errors import HSMUnavailable, NotFound
from ca.issuer import IssuingCA
from ca.journal import Journal
from ca.keys.client import PrivateKey, SignerClient, private_key
from ca.policy import Policy
from ca.profiles import Profile, certificate_period
from ca.publish import Publisher
from ca.records import Issuer, Key, Responder, SignKind
from ca.store import Store
from ca.weakening import Weakening


@dataclass(frozen=True)
class Desk:
    """Everything a use case works with; complete after construction and safe to share between threads.

    Generations of issuers and keys are immutable, so what is parsed once is kept; which generation is
    active is read from the store each time. `config` is what holds; the `weaker` settings of the file wait for
    a second person (`ca.authority.policies`).
    """

    config: Config
    clock: Clock
    wall: WallClock
    store: Store
    signer: SignerClient
    journal: Journal
    publisher: Publisher
    profiles: Mapping[str, Profile]
    policy: Policy
    weaker: tuple[Weakening, ...] = ()
    _issuing: dict[str, IssuingCA] = field(default_factory=dict)
    _keys: dict[str, Key] = field(default_factory=dict)
    abreast: list[bool] = field(default_factory=list)
    _turns: dict[str, Lock] = field(default_factory=dict)

    def alone(self, work: str) -> Lock:
        """Held by one thread of this process at a time for each kind of work; between processes the records decide."""
        return self._turns.setdefault(work, Lock())

    def profile(self, name: str) -> Profile:
        """The profile of that name. Raises `NotFound` naming those that exist."""
        try:
            return self.profiles[name]
        except KeyError:
            raise NotFound(
                f"There is no profile {name!r}.", next_step=f"Use one of: {', '.join(sorted(self.profiles))}."
            ) from None

    def active_issuer(self, name: str = "") -> Issuer:
        """The newest active generation of the issuer of that name (default: `ca.issuer`)."""
        name = name or self.config.ca.issuer
        found = [i for i in self.store.issuers() if name in (i.name, i.id) and i.state == "active"]
        if not found:
            raise NotFound(f"There is no active issuer {name!r}.", next_step="Run 'certwright ca init' or 'ca list'.")
        return max(found, key=lambda one: (one.created_at, one.id))

    def serving(self) -> list[Issuer]:
        """The issuing CAs whose CRLs relying parties fetch: those that issue, and those that have retired."""
        found = (one for one in self.store.issuers() if one.kind == "issuing" and one.serves)
        return [one for one in found if not self.has_ended(one.id)]

    def has_ended(self, issuer_id: str) -> bool:
        """Whether that generation is past its notAfter: it can sign nothing more, and nothing waits for it."""
        return certificate_period(self.store.issuer(issuer_id).certificate).not_after <= self.clock()

    def issuing_ca(self, issuer: Issuer) -> IssuingCA:
        """The issuing CA of a generation, ready to prepare and sign."""
        if issuer.id not in self._issuing:
            self._issuing[issuer.id] = IssuingCA(
                issuer, lambda kind: self.signing_key(issuer.key_id, kind), self.config.server.status_url
            )
        return self._issuing[issuer.id]

    def signing_key(self, key_id: str, kind: SignKind) -> PrivateKey:
        """A private key that lives in the signer, for TBS of one kind. Raises the HSM family when it signs."""
        if key_id not in self._keys:
            self._keys[key_id] = self.signer.key(key_id)
        return private_key(self.signer, self._keys[key_id], kind)

    def demand_signer(self) -> None:
        """Raises `HSMUnavailable` unless the signer can sign now with the key that issues."""
        state, key = self.signer.health(), self.active_issuer().key_id
        if not state.ok and (key in state.faults or not state.faults):
            raise HSMUnavailable(state.detail, next_step="See docs/keys.md, or run 'certwright doctor'.")

    def responder(self, issuer: str) -> Responder:
        """The newest responder of an issuer that is valid now. Raises `HSMUnavailable` while there is none."""
        try:
            responder = self.store.responder(issuer)
        except NotFound:
            raise HSMUnavailable(
                f"{issuer} has no OCSP responder yet.", next_step="The scheduler makes one; see 'certwright doctor'."
            ) from None
        if responder.not_after <= self.clock():
            raise HSMUnavailable(
                f"The OCSP responder of {issuer} has expired.", next_step="Start the scheduler: it renews responders."
            )
        return responder
