"""URL to function, and who may knock: nothing else. Paths are below /acme."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from acme_server import accounts, authorizations, certificates, directory, explanations, new_order, orders, renewal_info
from acme_server.desk import Answer
from acme_server.limits import pauses
from acme_server.star import orders as star
from acme_server.urls import PREFIX
from acme_server.validation import attempts
from ca.errors import NotFound


class Knock(StrEnum):
    """How a resource wants to be asked."""

    OPENLY = "GET, HEAD, POST"
    """Without signature by GET; by POST-as-GET too (RFC 8555 §6.3)."""

    OPENLY_OR_BY_ACCOUNT = "GET, HEAD, POST with kid"
    """The resource itself says who may GET it (RFC 8739 §3.4)."""

    BY_KEY = "POST with jwk"
    BY_ACCOUNT = "POST with kid"
    BY_EITHER = "POST with jwk or kid"
    BY_PERSON = "GET, HEAD, POST of a form"
    """A page for people, behind a link that nobody guesses."""

    def is_page(self, method: str) -> bool:
        """Whether that is how a person asks, without a signature."""
        return self is Knock.BY_PERSON and method in ("GET", "HEAD", "POST")

    def is_open(self, method: str) -> bool:
        """Whether it is looked at without a signature."""
        return method in ("GET", "HEAD") and self in (Knock.OPENLY, Knock.OPENLY_OR_BY_ACCOUNT)

    @property
    def methods(self) -> str:
        """What an Allow header says."""
        return "GET, HEAD, POST" if self.value.startswith("GET") else "POST"


@dataclass(frozen=True, slots=True)
class Route:
    """A path below /acme, its use case, and how it wants to be asked."""

    path: str
    view: Callable[..., Answer]
    knock: Knock = Knock.BY_ACCOUNT

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the path's variables, if the path is of this form; a variable is never empty."""
        where = {}
        for own, given in zip(self.path[1:].split("/"), segments, strict=True):
            if own[0] == "<" and given:
                where[own[1:-1]] = given
            elif own != given:
                return None
        return where


ROUTES = (
    Route("/directory", directory.show, Knock.OPENLY),
    Route("/new-nonce", directory.nonce, Knock.OPENLY),
    Route("/new-account", accounts.register, Knock.BY_KEY),
    Route("/acct/<account_id>", accounts.show_or_update),
    Route("/acct/<account_id>/orders", accounts.list_orders),
    Route("/acct/<account_id>/orders/<after>", accounts.list_orders),
    Route("/key-change", accounts.change_key),
    Route("/new-order", new_order.place),
    Route("/new-authz", authorizations.request),
    Route("/order/<order_id>", orders.show_or_cancel),
    Route("/order/<order_id>/finalize", orders.finalize),
    Route("/authz/<authorization_id>", authorizations.show_or_deactivate),
    Route("/chall/<challenge_id>", authorizations.show_or_respond),
    Route("/attempt/<secret>", attempts.show, Knock.OPENLY),
    Route("/cert/<serial>", certificates.download),
    Route("/cert/<serial>/<number>", certificates.download),
    Route("/star/<order_id>", star.download, Knock.OPENLY_OR_BY_ACCOUNT),
    Route("/star/<order_id>/<number>", star.download, Knock.OPENLY_OR_BY_ACCOUNT),
    Route("/renewal-info/<certificate_id>", renewal_info.show, Knock.OPENLY),
    Route("/renewal-explained", explanations.renewal, Knock.OPENLY),
    Route("/limits", explanations.limits, Knock.OPENLY),
    Route("/resume/<token>", pauses.page, Knock.BY_PERSON),
    Route("/revoke-cert", certificates.revoke, Knock.BY_EITHER),
    Route("/<profile>/directory", directory.show, Knock.OPENLY),
    Route("/<profile>/new-order", new_order.place),
    Route("/<profile>/new-authz", authorizations.request),
)
"""The first that fits counts."""

_BY_LENGTH: Mapping[int, list[Route]] = {
    length: [route for route in ROUTES if route.path.count("/") == length] for length in range(1, 6)
}


def find(path: str) -> tuple[Route, dict[str, str]]:
    """The route of a whole path, and the values of its variables. Raises `NotFound`."""
    segments = path.removeprefix(PREFIX).removesuffix("/").split("/")[1:]
    for route in _BY_LENGTH.get(len(segments), ()):
        where = route.match(segments)
        if where is not None:
            return route, where
    raise NotFound("There is no such resource.", next_step=f"Begin at {PREFIX}/directory.")
