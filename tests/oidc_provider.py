"""A provider of OpenID Connect on loopback: Authlib's own server, with people who prove nothing but their name.

It can lie: `lies` are claims put into its next tokens in place of the true ones, `sign` signs in place of its key.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin, grants
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oidc.core import OpenIDCode
from flask import Flask, Response, jsonify, request
from joserfc import jwt
from joserfc.jwk import ECKey
from werkzeug.serving import make_server

from ca.clock import system_clock

CLIENT, SECRET = "certwright", "the-clients-own-secret"
FORM = """<!doctype html><title>Provider</title><form method="post" action="{action}">
<label>User <input name="user"></label><button>Log in</button></form>"""


@dataclass
class Provider:
    """What it is asked, and whom it vouches for: claims by name."""

    back: str
    issuer: str = ""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": secrets.token_hex(4)}))
    lies: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    fetches: list[str] = field(default_factory=list)
    codes: dict[str, "_Code"] = field(default_factory=dict)

    def add(self, name: str, *groups: str) -> str:
        self.people[name] = {"sub": f"sub-{name}", "preferred_username": name, "groups": list(groups)}
        return name


@dataclass
class _Code(AuthorizationCodeMixin):
    code: str
    user: str
    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str
    auth_time: int = field(default_factory=system_clock)

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> int:
        return self.auth_time

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


@dataclass
class _Client(ClientMixin):
    back: str

    def get_client_id(self) -> str:
        return CLIENT

    def get_default_redirect_uri(self) -> str:
        return self.back

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.back

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == SECRET

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method in ("client_secret_basic", "client_secret_post")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


def _grant(provider: Provider) -> tuple[type[grants.AuthorizationCodeGrant], OpenIDCode]:
    """Authlib's code grant and its tokens, with this provider's memory."""

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

        def save_authorization_code(self, code: str, asked: Any) -> None:
            data = asked.payload.data
            challenge = (data.get("code_challenge"), data.get("code_challenge_method"))
            provider.codes[code] = _Code(
                code, asked.user, data["redirect_uri"], data["scope"], data["nonce"], *challenge
            )

        def query_authorization_code(self, code: str, _client: Any) -> _Code | None:
            return provider.codes.get(code)

        def delete_authorization_code(self, code: _Code) -> None:
            provider.codes.pop(code.code, None)

        def authenticate_user(self, code: _Code) -> str:
            return code.user

    class Code(OpenIDCode):
        def exists_nonce(self, nonce: str, _request: Any) -> bool:
            return any(code.nonce == nonce for code in provider.codes.values())

        def get_client_algorithm(self, _client: Any) -> str:
            return "ES256"

        def generate_user_info(self, user: str, _scope: str) -> dict[str, Any]:
            return provider.people[user]

        def encode_id_token(self, token: dict[str, Any], asked: Any) -> str:
            now = system_clock()
            claims = {
                "iss": provider.issuer,
                "aud": CLIENT,
                "iat": now,
                "exp": now + 300,
                **self.get_authorization_code_claims(asked.authorization_code),
                **self.generate_user_info(asked.user, ""),
                **provider.lies,
            }
            claims = {name: value for name, value in claims.items() if value is not ...}
            head = {"alg": "ES256", "kid": provider.key.kid}
            return provider.sign(head, claims) if provider.sign else jwt.encode(head, claims, provider.key)

    return CodeGrant, Code(require_nonce=True)


def _application(provider: Provider) -> Flask:
    app = Flask("provider")
    server = AuthorizationServer(app, lambda name: _Client(provider.back) if name == CLIENT else None, lambda *_: None)
    grant, tokens = _grant(provider)
    server.register_grant(grant, [tokens, CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def about() -> Response:
        provider.fetches.append("about")
        urls = {name: f"{provider.issuer}/{name}" for name in ("authorize", "token", "keys")}
        told = {
            "issuer": provider.issuer,
            "authorization_endpoint": urls["authorize"],
            "token_endpoint": urls["token"],
            "jwks_uri": urls["keys"],
        }
        return jsonify({**told, **provider.about})

    @app.get("/keys")
    def keys() -> Response:
        provider.fetches.append("keys")
        return jsonify({"keys": [provider.key.as_dict(private=False)]})

    @app.route("/authorize", methods=["GET", "POST"])
    def authorize() -> Any:
        if request.method == "GET":
            provider.asked.append(dict(request.args))
            return FORM.format(action=f"/authorize?{request.query_string.decode()}")
        user = request.form["user"]
        grant = server.get_consent_grant(end_user=user)
        return server.create_authorization_response(grant_user=user if user in provider.people else None, grant=grant)

    @app.post("/token")
    def token() -> Any:
        return server.create_token_response()

    return app


@contextmanager
def running(back: str = "") -> Iterator[Provider]:
    """Runs it; `back` is the one redirect URI that it knows."""
    provider = Provider(back)
    server = make_server("127.0.0.1", 0, _application(provider), threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
