"""The URLs of ACME objects: one place that makes them, so that one place can be compared with (A-10)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from ca.config import Config

PREFIX = "/acme"


@dataclass(frozen=True, slots=True)
class Urls:
    """`origin` is `server.public_url`, without a slash at its end; `issuers` are the names of this CA in the DNS."""

    origin: str
    issuers: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: Config) -> "Urls":
        """The URLs of this configuration."""
        host = urlsplit(config.server.public_url).hostname or ""
        issuers = tuple(one.lower().rstrip(".") for one in config.acme.caa_identities) or (host,)
        return cls(config.server.public_url.rstrip("/"), issuers)

    def at(self, path: str) -> str:
        """The URL of a path as the request line has it."""
        return self.origin + path

    def directory(self, profile: str = "") -> str:
        """The directory, of the default profile or of one."""
        return self._in(profile, "directory")

    def new_order(self, profile: str = "") -> str:
        """newOrder, for the default profile or for one."""
        return self._in(profile, "new-order")

    def new_authorization(self, profile: str = "") -> str:
        """newAuthz, for the default profile or for one."""
        return self._in(profile, "new-authz")

    def resource(self, name: str) -> str:
        """A resource that all profiles share, such as `new-account`."""
        return f"{self.origin}{PREFIX}/{name}"

    def account(self, account: str) -> str:
        """An account; what a JWS has as its kid."""
        return self.resource(f"acct/{account}")

    def account_of(self, url: str) -> str:
        """The id in an account's URL; empty when it is no such URL."""
        head, _, account = url.rpartition("/")
        return account if head == self.resource("acct") else ""

    def orders(self, account: str, after: str = "") -> str:
        """An account's orders, from the first page or from one after an order."""
        return self.account(account) + "/orders" + (f"/{after}" if after else "")

    def order(self, order: str) -> str:
        """An order."""
        return self.resource(f"order/{order}")

    def finalize(self, order: str) -> str:
        """Where an order's CSR goes."""
        return self.order(order) + "/finalize"

    def authorization(self, authorization: str) -> str:
        """An authorization."""
        return self.resource(f"authz/{authorization}")

    def challenge(self, challenge: str) -> str:
        """A challenge."""
        return self.resource(f"chall/{challenge}")

    def attempt(self, secret: str) -> str:
        """A try of a challenge, for whoever has the URL."""
        return self.resource(f"attempt/{secret}")

    def certificate(self, serial: str) -> str:
        """A certificate by its serial in hex; its other chains are below that."""
        return self.resource(f"cert/{serial}")

    def star(self, order: str) -> str:
        """The certificate of an order that renews itself: always the newest."""
        return self.resource(f"star/{order}")

    def _in(self, profile: str, name: str) -> str:
        return self.resource(f"{profile}/{name}" if profile else name)
