"""The door: from an HTTP request to a use case and back. Everything that holds for all resources stands here.

In: method, media type, size, JWS, URL, nonce, account, signature, in this order (RFC 8555 §6). Out: a fresh nonce
on every answer to a POST, the link to the directory, problems in place of errors.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import msgspec
import structlog
from flask import Blueprint, Response, g, request

from acme_server import jwk, jws, problems
from acme_server.desk import Answer, Asked, Desk, demand_valid
from acme_server.errors import KeyInUse, TooLarge, UserActionRequired, WrongMediaType, WrongMethod
from acme_server.nonces import Nonces
from acme_server.routes import ROUTES, Knock, Route
from ca.authority import Authority
from ca.errors import CAError, ConfigError, NotFound, RateLimited, Unavailable
from ca.profiles import OWN_PROFILE

MEDIA_TYPE = "application/jose+json"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def blueprint(authority: Authority) -> Blueprint:
    """Every ACME URL, to be mounted at /acme. Each knows every method, so that each refusal is a problem of ours."""
    door = Door(authority)
    made = Blueprint("acme", __name__)
    for number, route in enumerate(ROUTES):
        _add(made, route.path, f"{number}-{route.view.__name__}", partial(door.answer, route))
    for number, path in enumerate(("/", "/<path:unknown>")):
        _add(made, path, f"unknown-{number}", door.nothing_here)
    return made


def _add(made: Blueprint, path: str, name: str, view: "partial[Response] | object") -> None:
    made.add_url_rule(path, name, view, methods=METHODS, provide_automatic_options=False)  # type: ignore[arg-type]


class Door:
    """The ACME door of one worker."""

    def __init__(self, authority: Authority) -> None:
        acme = authority.config.acme
        _demand_profiles(authority)
        self.desk = Desk(authority)
        self.nonces = Nonces(authority.config.path(acme.nonce_dir), acme.nonce_life, authority.clock)

    def answer(self, route: Route, **where: str) -> Response:
        """One request to one resource; whatever happens, an answer of RFC 8555."""
        try:
            made = route.view(self.desk, self._asked(route), **where)
        except CAError as error:
            made = self._refusal(error)
        except Exception:  # noqa: BLE001 - the edge of a request
            structlog.get_logger().exception("acme.failed")
            made = self._refusal(CAError("unforeseen"))
        return self._response(made)

    def nothing_here(self, **_: str) -> Response:
        """The answer of every path that is no resource."""
        where = self.desk.urls.directory()
        return self._response(self._refusal(NotFound("There is no such resource.", next_step=f"Begin at {where}.")))

    # --- in -------------------------------------------------------------------------------------

    def _asked(self, route: Route) -> Asked:
        """The request, once nothing about it is in doubt."""
        if request.method in ("GET", "HEAD") and route.knock is Knock.OPENLY:
            return Asked(self._url(), request.method, request_id=_request_id())
        if request.method != "POST":
            raise WrongMethod(f"This resource does not know {request.method}.", allowed=route.knock.methods)
        signed = jws.parse(_body())
        signed.demand_url(self._url())
        self.nonces.redeem(signed.nonce)
        return self._authenticated(signed, route.knock)

    def _authenticated(self, signed: jws.Signed, knock: Knock) -> Asked:
        """Whose request it is: by the key that came along, or by the account's."""
        accept = request.headers.get("Accept", "")
        asked = Asked(signed.url, payload=signed.payload, request_id=_request_id(), accept=accept)
        if knock is Knock.BY_KEY or (knock is Knock.BY_EITHER and signed.key is not None):
            key = signed.demand_key()
            signed.verify(key)
            return replace(asked, key=key)
        account = self.desk.account_at(signed.demand_kid())
        key = jwk.load(account.jwk)
        signed.verify(key)
        g.actor = account.actor
        return replace(asked, key=key, account=demand_valid(account))

    def _url(self) -> str:
        query = request.query_string.decode("latin-1")
        return self.desk.urls.at(request.path) + (f"?{query}" if query else "")

    # --- out ------------------------------------------------------------------------------------

    def _refusal(self, error: CAError) -> Answer:
        made = problems.problem(error)
        _log(error, made)
        links, location, retry_after, headers = {}, "", 0, {}
        match error:
            case UserActionRequired():
                links = {"terms-of-service": error.terms}
            case KeyInUse():
                location = error.account
            case WrongMethod():
                headers = {"Allow": error.allowed}
            case Unavailable() | RateLimited():
                retry_after = error.retry_after
        return Answer(made, made["status"], problems.MEDIA_TYPE, location, links, retry_after, headers)

    def _response(self, answer: Answer) -> Response:
        body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        response = Response(body, answer.status, content_type=answer.media_type)
        if not body:
            del response.headers["Content-Type"]
        head = response.headers
        for name, value in answer.headers.items():
            head[name] = value
        for relation, url in self._links(answer):
            head.add("Link", f'<{url}>;rel="{relation}"')
        if answer.location:
            head["Location"] = answer.location
        if answer.retry_after:
            head["Retry-After"] = str(answer.retry_after)
        if request.method == "POST" or request.path.endswith("/new-nonce"):
            head["Replay-Nonce"] = self.nonces.make()
            head.setdefault("Cache-Control", "no-store")
        return response

    def _links(self, answer: Answer) -> Iterator[tuple[str, str]]:
        """Relations and their URLs. Every answer but the directory leads back to it (A-15)."""
        if not request.path.endswith("/directory"):
            yield "index", self.desk.urls.directory()
        yield from answer.links.items()
        yield from (("alternate", url) for url in answer.alternates)


def _demand_profiles(authority: Authority) -> None:
    """Every profile that is offered exists, and is not the product's own. Raises `ConfigError`."""
    offered, there = authority.config.acme.profiles, set(authority.profiles) - {OWN_PROFILE}
    if not offered or set(offered) - there:
        raise ConfigError(
            f"acme.profiles names {', '.join(offered) or 'nothing'}.",
            next_step=f"Name some of {', '.join(sorted(there))}, the default first.",
        )


def _body() -> bytes:
    """The request's body, of the one media type and bounded (A-06, A-32)."""
    if request.mimetype != MEDIA_TYPE:
        raise WrongMediaType(f"The body is no {MEDIA_TYPE}.", next_step=f"Send it with Content-Type: {MEDIA_TYPE}.")
    if (request.content_length or 0) > jws.MAX_BODY:
        raise TooLarge(f"The body is larger than {jws.MAX_BODY // 1024} KiB.")
    return request.stream.read(jws.MAX_BODY + 1)


def _request_id() -> str:
    return str(g.get("request_id", ""))


def _log(error: CAError, problem: problems.Problem) -> None:
    """Operators see what happened; of errors on this side clients see only that they happened."""
    log = structlog.get_logger()
    say = log.error if problem["status"] >= 500 else log.info
    say("acme.refused", code=error.code, status=problem["status"], why=str(error))
