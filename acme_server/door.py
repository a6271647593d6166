"""The door: from an HTTP request to a use case and back. Everything that holds for all resources stands here.

In: method, media type, size, JWS, URL, nonce, account, signature, in this order (RFC 8555 §6). Out: a fresh nonce
on every answer to a POST, the link to the directory, problems in place of errors.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import msgspec
import structlog

from acme_server import jwk, jws, problems, routes
from acme_server.desk import Answer, Asked, Desk, demand_valid
from acme_server.environ import ACTOR, REFUSED, REQUEST_ID, RESOURCE
from acme_server.errors import KeyInUse, NotWhole, OverLimit, TooLarge, UserActionRequired, WrongMediaType, WrongMethod
from acme_server.nonces import Nonces
from acme_server.routes import Knock, Route
from ca.authority import Authority
from ca.errors import CAError, ConfigError, RateLimited, Unavailable
from ca.profiles import OWN_PROFILE

MEDIA_TYPE = "application/jose+json"

Environ = dict[str, Any]
Head = list[tuple[str, str]]

_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Door:
    """The ACME door of one worker: a WSGI application for every path below /acme.

    Bare WSGI, since each certificate takes seven requests and a framework costs each of them more than its own work.
    """

    def __init__(self, authority: Authority) -> None:
        acme = authority.config.acme
        _demand_profiles(authority)
        self.desk = Desk(authority)
        self.nonces = Nonces(authority.config.path(acme.nonce_dir), acme.nonce_life, authority.clock)

    def __call__(self, environ: Environ, start_response: Callable[[str, Head], Any]) -> Iterable[bytes]:
        """One request; whatever happens, an answer of RFC 8555."""
        answer = self._answer(environ)
        body = answer.body if isinstance(answer.body, bytes) else msgspec.json.encode(answer.body)
        start_response(_STATUS_LINES[answer.status], self._head(environ, answer, len(body)))
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Environ) -> Answer:
        try:
            route, where = routes.find(environ["PATH_INFO"])
            environ[RESOURCE] = route.path
            with self._records(environ):
                return route.view(self.desk, self._asked(environ, route), **where)
        except CAError as error:
            return self._refusal(error)
        except Exception:  # noqa: BLE001 - the edge of a request
            structlog.get_logger().exception("acme.failed")
            return self._refusal(CAError("unforeseen"))

    # --- in -------------------------------------------------------------------------------------

    def _records(self, environ: Environ) -> AbstractContextManager[None]:
        """One connection to the database for a whole POST; directory and nonces need none."""
        return self.desk.store.reading() if environ["REQUEST_METHOD"] == "POST" else nullcontext()

    def _asked(self, environ: Environ, route: Route) -> Asked:
        """The request, once nothing about it is in doubt."""
        method, url, request_id = environ["REQUEST_METHOD"], self._url(environ), environ.get(REQUEST_ID, "")
        _demand_whole(environ)
        if route.knock.is_open(method) or route.knock.is_page(method):
            return Asked(url, method, request_id=request_id, accept=environ.get("HTTP_ACCEPT", ""))
        if method != "POST":
            raise WrongMethod(f"This resource does not know {method}.", allowed=route.knock.methods)
        signed = jws.parse(_body(environ))
        signed.demand_url(url)
        self.nonces.redeem(signed.nonce)
        asked = Asked(
            url,
            payload=signed.payload,
            request_id=request_id,
            accept=environ.get("HTTP_ACCEPT", ""),
            address=environ.get("REMOTE_ADDR", ""),
        )
        asked = self._authenticated(asked, signed, route.knock)
        if asked.account is not None:
            environ[ACTOR] = str(asked.account.actor)
        return asked

    def _authenticated(self, asked: Asked, signed: jws.Signed, knock: Knock) -> Asked:
        """Whose request it is: by the key that came along, or by the account's."""
        if knock is Knock.BY_KEY or (knock is Knock.BY_EITHER and signed.key is not None):
            key = signed.demand_key()
            signed.verify(key)
            return replace(asked, key=key)
        account = self.desk.account_at(signed.demand_kid())
        key = jwk.load(account.jwk)
        signed.verify(key)
        return replace(asked, key=key, account=demand_valid(account))

    def _url(self, environ: Environ) -> str:
        query = environ.get("QUERY_STRING", "")
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        return self.desk.urls.at(path) + (f"?{query}" if query else "")

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
            case OverLimit():
                links = {"help": error.help_url or self.desk.urls.resource("limits")}
                retry_after = error.retry_after
            case Unavailable() | RateLimited():
                retry_after = error.retry_after
        return Answer(made, made["status"], problems.MEDIA_TYPE, location, links, retry_after, headers)

    def _head(self, environ: Environ, answer: Answer, length: int) -> Head:
        head = {"Content-Type": answer.media_type} if length else {}
        head |= {"Content-Length": str(length), **answer.headers}
        if answer.location:
            head["Location"] = answer.location
        if answer.retry_after:
            head["Retry-After"] = str(answer.retry_after)
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "POST" or path.endswith("/new-nonce"):
            head = {"Cache-Control": "no-store", **head, "Replay-Nonce": self.nonces.make()}
        return [*head.items(), *(("Link", f'<{url}>;rel="{what}"') for what, url in self._links(path, answer))]

    def _links(self, path: str, answer: Answer) -> Iterator[tuple[str, str]]:
        """Relations and their URLs. Every answer but the directory leads back to it (A-15)."""
        if not path.endswith("/directory"):
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


def _demand_whole(environ: Environ) -> None:
    """Raises for a request that broke a bound before it came here."""
    match environ.get(REFUSED):
        case None:
            return
        case 413:
            raise TooLarge(f"The body is larger than {jws.MAX_BODY // 1024} KiB.")
        case _:
            raise NotWhole("The request did not arrive whole, or not in time.", next_step="Send it again.")


def _body(environ: Environ) -> bytes:
    """The request's body, of the one media type and bounded (A-06, A-32)."""
    media_type = environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise WrongMediaType(f"The body is no {MEDIA_TYPE}.", next_step=f"Send it with Content-Type: {MEDIA_TYPE}.")
    return bytes(environ["wsgi.input"].read(jws.MAX_BODY + 1))  # one octet too many is refused by `jws`


def _log(error: CAError, problem: problems.Problem) -> None:
    """Operators see what happened; of errors on this side clients see only that they happened."""
    log = structlog.get_logger()
    say = log.error if problem["status"] >= 500 else log.info
    say("acme.refused", code=error.code, status=problem["status"], why=str(error))
