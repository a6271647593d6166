"""A provider of OpenID Connect, as its client sees it: authorization code flow with PKCE (Core 1.0 §3.1, RFC 7636).

Tokens are verified by joserfc, their claims by Authlib. Every answer is bounded, redirects are not followed, and what
the provider says of itself is kept for an hour.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import msgspec
import urllib3
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ca.clock import Clock
from ca.console import OIDC, PROVIDER_URL
from ca.errors import ProviderUnavailable, Unauthenticated
from ca.secretfile import word

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA")
"""Signatures by the provider's private key. `none`, and HMAC by a key that others know, are no signatures."""

LEEWAY = 60
"""Seconds that its clock may differ from ours."""

KEPT = 3600
"""Seconds for which metadata and keys are believed."""

KEYS_AGAIN = 60
"""Seconds between two fetches of keys because a token names one that is not there."""

SECONDS = 10.0
_MOST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Round:
    """One way to the provider and back, all from one secret that only the browser knows meanwhile."""

    secret: str

    @property
    def state(self) -> str:
        """Ties the answer to the browser."""
        return self._part(b"state")

    @property
    def nonce(self) -> str:
        """Ties the token to this round."""
        return self._part(b"nonce")

    @property
    def verifier(self) -> str:
        """Ties the code to who asked for it (RFC 7636 §4.1)."""
        return self._part(b"verifier")

    def _part(self, what: bytes) -> str:
        made = hmac.digest(self.secret.encode(), b"certwright oidc " + what, hashlib.sha256)
        return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom the provider vouches for. `subject` never changes; `auth_time` is when he proved it, 0 if nobody says."""

    subject: str
    name: str
    groups: frozenset[str]
    auth_time: int


class Provider:
    """One provider and this client of it. Nothing is fetched before it is needed, and by two threads at once twice."""

    def __init__(self, config: OIDC, secret_file: Path, ca_file: Path | None, back: str, clock: Clock) -> None:
        self._config, self._secret_file, self._ca_file, self._back = config, secret_file, ca_file, back
        self._clock = clock
        self._metadata: tuple[int, Mapping[str, Any]] = (0, {})
        self._keys: tuple[int, KeySet | None] = (0, None)

    def begin(self, way: Round, *, again: bool = False) -> str:
        """Where the browser goes; with `again` he has to prove anew that he is there. Raises `ProviderUnavailable`."""
        more = {"max_age": "0", "prompt": "login"} if again else {}
        url: str = prepare_grant_uri(
            self._endpoint("authorization_endpoint"),
            self._config.client_id,
            "code",
            redirect_uri=self._back,
            scope=self._config.scopes,
            state=way.state,
            nonce=way.nonce,
            code_challenge=create_s256_code_challenge(way.verifier),
            code_challenge_method="S256",
            **more,
        )
        return url

    def finish(self, way: Round, state: str, code: str) -> Identity:
        """Exchanges the code for who it is. Raises `Unauthenticated` and `ProviderUnavailable`."""
        if not hmac.compare_digest(state.encode(), way.state.encode()):
            raise _refused("The answer belongs to another sign-in.")
        answer = self._exchange(code, way.verifier)
        claims = self._verified(str(answer.get("id_token", "")), way.nonce, str(answer.get("access_token", "")))
        name, groups = claims.get(self._config.name_claim), claims.get(self._config.groups_claim)
        return Identity(
            subject=f"{self._config.issuer} {claims['sub']}",
            name=name if isinstance(name, str) else "",
            groups=frozenset(one for one in groups if isinstance(one, str))
            if isinstance(groups, list)
            else frozenset(),
            auth_time=min(int(claims.get("auth_time", 0)), self._clock()),
        )

    # --- the token ---

    def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        fields = {"code": code, "redirect_uri": self._back, "code_verifier": verifier}
        secret, who = word(self._secret_file), self._config.client_id
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if "client_secret_basic" in self._about().get("token_endpoint_auth_methods_supported", ["client_secret_basic"]):
            both = f"{quote_plus(who)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(both).decode()
        else:
            fields |= {"client_id": who, "client_secret": secret}
        body: str = prepare_token_request("authorization_code", **fields)
        return self._fetch("POST", self._endpoint("token_endpoint"), body.encode(), headers)

    def _verified(self, token: str, nonce: str, access_token: str) -> Mapping[str, Any]:
        try:
            found = jwt.decode(token, self._keys_for(token), algorithms=list(ALGORITHMS))
            options = {
                "iss": {"essential": True, "value": self._config.issuer},
                "aud": {"essential": True, "value": self._config.client_id},
                "nonce": {"essential": True, "value": nonce},
            }
            params = {"client_id": self._config.client_id, "nonce": nonce, "access_token": access_token}
            claims = CodeIDToken(found.claims, found.header, options, params)
            claims.validate(self._clock(), LEEWAY)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise _refused(f"Its token is not good: {ascii(type(error).__name__)[1:-1]}.") from None
        if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 255:
            raise _refused("Its token names nobody.")
        return dict(claims)

    def _keys_for(self, token: str) -> KeySet:
        """The provider's keys; fetched again when the token names one that is not among them."""
        kid = jws.extract_compact(token.encode()).headers().get("kid")
        at, keys = self._keys
        age = self._clock() - at
        missing = keys is not None and kid is not None and kid not in [one.kid for one in keys.keys]
        if keys is None or age >= KEPT or (missing and age >= KEYS_AGAIN):
            keys = KeySet.import_key_set(dict(self._fetch("GET", self._endpoint("jwks_uri"))))  # type: ignore[arg-type]
            self._keys = (self._clock(), keys)
        return keys

    # --- the provider ---

    def _about(self) -> Mapping[str, Any]:
        at, found = self._metadata
        if not found or self._clock() - at >= KEPT:
            found = self._fetch("GET", self._config.issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != self._config.issuer:
                raise ProviderUnavailable(
                    f"The provider calls itself {ascii(found.get('issuer'))[:200]}, not {self._config.issuer}.",
                    next_step="Write into ui.oidc.issuer what it calls itself, to the letter.",
                )
            self._metadata = (self._clock(), found)
        return found

    def _endpoint(self, name: str) -> str:
        url = self._about().get(name)
        if not isinstance(url, str) or not PROVIDER_URL.match(url):
            raise ProviderUnavailable(f"The provider's {name} is no https URL.", next_step="Ask its operators.")
        return url

    def _fetch(
        self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        trust = str(self._ca_file) if self._ca_file else None
        with urllib3.PoolManager(timeout=SECONDS, retries=False, ca_certs=trust) as pool:
            try:
                wanted = {"Accept": "application/json", "User-Agent": "certwright", **(headers or {})}
                reply = pool.request(method, url, body=body, headers=wanted, redirect=False, preload_content=False)
                said = reply.read(_MOST + 1)
                reply.close()
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _away(url, type(error).__name__) from None
        if method == "POST" and reply.status in (400, 401):
            raise _refused("The provider does not take the code, or does not know this service.")
        if reply.status != 200 or len(said) > _MOST:
            raise _away(url, f"status {reply.status}, {len(said)} octets")
        try:
            return msgspec.json.decode(said, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _away(url, "it is no JSON object") from None


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"The provider's answer cannot be used. {why}", next_step="Begin again at the sign-in page.")


def _away(url: str, why: str) -> ProviderUnavailable:
    return ProviderUnavailable(
        f"The provider did not answer at {url}: {why}.", next_step="Try again, or sign in another way."
    )
