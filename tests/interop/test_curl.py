"""curl and openssl, with a token of `certwright token create`: obtain, renew and revoke by the CSR API."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.interop.relying import Chain, RelyingParty
from tests.interop.world import Demo, environment, need, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "db.curl.localhost"


@pytest.fixture
def token(demo: Demo) -> str:
    """The secret of a token for profile `server` and names below curl.localhost."""
    scope = ("--profile", "server", "--allow", "**.curl.localhost")
    return str(json.loads(demo.certwright("token", "create", "curl", *scope, "--json"))["secret"])


class Curl:
    """curl as a script uses it: the answer's JSON, and its status."""

    def __init__(self, demo: Demo, home: Path, token: str) -> None:
        self.program = need("curl")
        self.base = f"{demo.origin}/api/v1/certificates"
        self.env = environment(home)
        self.common = ("--silent", "--show-error", "--max-time", "30", "--cacert", str(demo.root))
        self.auth = ("--header", f"Authorization: Bearer {token}")

    def __call__(self, path: str, *words: str, status: int = 200) -> Any:
        wanted = (*self.common, *self.auth, *words, "--write-out", "\n%{http_code}", self.base + path)
        body, _, code = run(self.program, *wanted, env=self.env).rpartition("\n")
        assert int(code) == status, body
        return json.loads(body)


def test_curl_obtains_renews_and_revokes(demo: Demo, home: Path, relying: RelyingParty, token: str) -> None:
    api = Curl(demo, home, token)
    key, pem, der = make_csr(home, NAME)
    first = api("", *posted({"csr": pem.read_text(), "profile": "server"}, "first"), status=201)
    relying.accepts(chain(first), NAME, key=key)
    assert api("", *posted({"csr": pem.read_text(), "profile": "server"}, "first"), status=201) == first

    raw = ("--header", "Content-Type: application/pkcs10", "--data-binary", f"@{der}")
    second = api("?profile=server", *raw, status=201)
    assert second["serial"] != first["serial"]
    relying.accepts(chain(second), NAME, key=key)

    api(f"/{second['serial']}/revoke", *posted({"reason": "superseded"}, "revoke"))
    relying.refuses(chain(second), reason="superseded")
    relying.accepts(chain(first), NAME)
    listed = api(f"?name={NAME}")["items"]
    assert {one["serial"]: one["status"] for one in listed} == {first["serial"]: "valid", second["serial"]: "revoked"}


def test_curl_gets_no_name_outside_the_tokens_scope(demo: Demo, home: Path, token: str) -> None:
    _, pem, _ = make_csr(home, "other.localhost")
    refused = Curl(demo, home, token)("", *posted({"csr": pem.read_text(), "profile": "server"}, "x"), status=403)
    assert "other.localhost" in refused["detail"]


def chain(issued: dict[str, str]) -> Chain:
    return Chain.parse(issued["chain"].encode())


def posted(body: dict[str, str], once: str) -> tuple[str, ...]:
    """curl's words for a JSON body that is carried out once."""
    kind = ("--header", "Content-Type: application/json", "--header", f"Idempotency-Key: {once}")
    return (*kind, "--data-binary", json.dumps(body))


def make_csr(home: Path, name: str) -> tuple[Path, Path, Path]:
    """A P-256 key and a CSR for one name, by OpenSSL: key, CSR in PEM, CSR in DER."""
    key, pem, der = home / "key.pem", home / "csr.pem", home / "csr.der"
    new = ("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/")
    names = ("-addext", f"subjectAltName=DNS:{name}")
    run(need("openssl"), *new, *names, "-keyout", key, "-out", pem, env=environment(home))
    run(need("openssl"), "req", "-in", pem, "-outform", "DER", "-out", der, env=environment(home))
    return key, pem, der
