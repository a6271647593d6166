"""What a ceremony works with."""

from dataclasses import dataclass

from ca.clock import Clock
from ca.issuer import Urls
from ca.journal import Journal
from ca.keys.client import SignerClient
from ca.publish import Publisher
from ca.store import Store


@dataclass(frozen=True, slots=True)
class Room:
    """The records, the service's signer and the time. The root's token is not here: it is brought along."""

    store: Store
    journal: Journal
    publisher: Publisher
    signer: SignerClient
    clock: Clock
    status_url: str

    @property
    def urls(self) -> Urls:
        """Where relying parties find what the ceremony publishes."""
        return Urls(self.status_url)
