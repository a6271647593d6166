"""People at the UI for tests: a client that signs in as a browser does, without one."""

import base64
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from flask import Flask
from werkzeug.test import TestResponse

from ca.authority import Authority, people
from ca.authority.people import digest
from ca.authority.signin import Client, Opened
from ca.records import Actor

OPERATOR = Actor("operator", "alice")
PASSWORD = "four words that do not"


def code_of(secret: str, at: int) -> str:
    """What an authenticator app shows at that time."""
    return TOTP(base64.b32decode(secret), 6, SHA1(), 30).generate(at).decode()


@dataclass
class Browser:
    """A client with cookies that posts forms from the UI's own pages."""

    app: Flask
    authority: Authority
    origin: str = "https://localhost:8443"
    client: Any = field(init=False)
    person: str = ""
    """Who is signed in, once taken."""

    def __post_init__(self) -> None:
        self.client = self.app.test_client()

    def get(self, path: str, **headers: str) -> TestResponse:
        return self.client.get(path, base_url=self.origin, headers=_named(headers))

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> TestResponse:
        named = {"Origin": self.origin, **_named(headers)}
        return self.client.post(
            path, data={"_token": self.token(), **(data or {})}, base_url=self.origin, headers=named
        )

    @property
    def cookie(self) -> str:
        found = self.client.get_cookie("__Host-certwright", domain=urlsplit(self.origin).hostname)
        return found.value if found else ""

    def token(self) -> str:
        import hashlib
        import hmac

        return hmac.digest(self.cookie.encode(), b"certwright form", hashlib.sha256).hex() if self.cookie else ""

    def take(self, opened: Opened) -> "Browser":
        """Puts a cookie in, as a sign-in would."""
        host = urlsplit(self.origin).hostname
        self.client.set_cookie("__Host-certwright", opened.secret, domain=host, secure=True, httponly=True)
        self.person = self.authority.store.sign_in(digest(opened.secret)).person
        return self

    def use_link(self, url: str) -> TestResponse:
        return self.post("/ui/link", {"link": url})

    def enrol_password(self, password: str = PASSWORD) -> str:
        """Enrols, and answers the TOTP secret."""
        page = self.get("/ui/enrol").text
        secret = re.search(r'name="secret" value="(\w+)"', page)[1]
        answer = self.post("/ui/enrol/password", {"password": password, "secret": secret, "code": self.code(secret)})
        assert answer.status_code == 303, answer.text
        return secret

    def code(self, secret: str) -> str:
        return code_of(secret, self.authority.clock())


def invite(authority: Authority, *roles: str, teams: tuple[str, ...] = (), name: str = "") -> str:
    """A new person of these roles; answers the name."""
    name = name or f"p{secrets.token_hex(4)}"
    people.invite(authority, name, roles, teams, OPERATOR)
    return name


def signed_in(app: Flask, authority: Authority, *roles: str, teams: tuple[str, ...] = ()) -> Browser:
    """Somebody of these roles who has enrolled, and is signed in now."""
    from ca.authority import signin

    name = invite(authority, *roles, teams=teams)
    authority.store.set_password(name, "not a hash that anything verifies", b"x" * 64)
    opened = signin.open_for(authority, authority.store.person(name), "password", Client("127.0.0.1", "tests"))
    browser = Browser(app, authority).take(opened)
    assert browser.person == name
    return browser


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
