"""PUT over HTTP: to nginx's WebDAV with a bearer token, to a bucket that checks each signature, against the wind."""

import hashlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ca.errors import Unavailable
from ca.targets import http as targets_http
from ca.targets import items
from ca.targets.http import Web, bearer, s3
from ca.targets.sigv4 import Credentials, signed
from tests.ca.conftest import Hierarchy, spki_of
from tests.ca.targets.conftest import NOW, answered, published
from tests.interop.webserver import nginx
from tests.ports import free_port

pytestmark = pytest.mark.slow

CRL = "crl/issuing-g1/0000.crl"
SECRET = "not-in-any-message"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    return file


def sent() -> list:
    return [item for one in (answered(), published(CRL)) for item in items(one)]


# --- a server of the test ------------------------------------------------------------------------


@dataclass
class Bucket:
    """A bucket in memory that recomputes each signature from what came over the wire; or one that misbehaves."""

    url: str = ""
    objects: dict[str, tuple[dict[str, str], bytes]] = field(default_factory=dict)
    answer: bytes = b""
    seen: list[str] = field(default_factory=list)

    def judge(self, path: str, headers: dict[str, str], body: bytes) -> bytes:
        given = headers.pop("authorization", "")
        names = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        known = {name: headers[name] for name in names if name not in ("x-amz-date", "x-amz-content-sha256")}
        at = int(time.mktime(time.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ"))) - time.timezone
        own = signed(Credentials("AKIA", SECRET, "eu-central-1"), path, known, body, at)
        if given != own["Authorization"] or not {"host", "content-type"} <= set(names) or abs(at - NOW) > 900:
            return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 34\r\n\r\n<Code>SignatureDoesNotMatch</Code>"
        self.objects[path] = (headers, body)
        return b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    made = Bucket()

    class Door(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.seen.append(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            said = made.answer or made.judge(self.path, headers, body)
            self.wfile.write(b"" if said == b"nothing" else said)
            if said == b"nothing":
                time.sleep(1)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()


# --- S3 ------------------------------------------------------------------------------------------


def test_the_signature_is_that_of_the_example_that_aws_publishes() -> None:
    """Signature Version 4, example "PUT Object" of the S3 API reference."""
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    headers = {
        "Date": "Fri, 24 May 2013 00:00:00 GMT",
        "Host": "examplebucket.s3.amazonaws.com",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
    }
    made = signed(credentials, "/test%24file.text", headers, b"Welcome to Amazon S3.", 1369353600)
    assert made["x-amz-content-sha256"] == hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
    assert made["Authorization"].endswith(
        "SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class, "
        "Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
    )
    assert credentials.secret not in repr(credentials)


def test_a_bucket_takes_what_is_signed_over_the_wire(bucket: Bucket, secret: Path) -> None:
    Web(f"{bucket.url}/pki/x", None, lambda: s3("AKIA", secret, "eu-central-1", lambda: NOW)).send(sent())
    assert len(bucket.objects) == 3
    headers, body = bucket.objects[f"/pki/x/{CRL}"]
    assert (headers["content-type"], body) == ("application/pkix-crl", b"\x30\x00")
    assert headers["cache-control"].startswith("max-age=300")
    assert headers["expires"] == "Fri, 15 Jan 2027 09:00:00 GMT"
    [get] = [path for path in bucket.objects if path.startswith("/pki/x/ocsp/")]
    assert "%3D" in get or "=" not in get, "base64 is escaped in a path"


def test_a_wrong_secret_is_told_in_the_buckets_words_and_not_repeated(bucket: Bucket, secret: Path) -> None:
    secret.write_text("wrong")
    with pytest.raises(Unavailable, match="status 403 SignatureDoesNotMatch") as refused:
        Web(bucket.url, None, lambda: s3("AKIA", secret, "eu-central-1", lambda: NOW)).send(sent())
    assert "wrong" not in str(refused.value)
    assert bucket.objects == {}


# --- against the wind ----------------------------------------------------------------------------

REDIRECT = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
ENDLESS = b"HTTP/1.1 500 Oh\r\nContent-Length: 999999999\r\n\r\n" + b"\x1b[2J" * 2000


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (REDIRECT, "status 307"),
        (ENDLESS, "status 500"),
        (b"nothing", "ReadTimeoutError"),
        (b"\x1b[2J\r\n\r\n", "ProtocolError"),
    ],
)
def test_trouble_is_said_in_time_and_nothing_is_followed(
    bucket: Bucket, answer: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer == b"nothing":
        monkeypatch.setattr(targets_http, "SECONDS", 0.3)
    bucket.answer = answer
    with pytest.raises(Unavailable, match=why) as refused:
        Web(bucket.url, None, lambda: bearer(None)).send(sent())
    assert len(bucket.seen) == 1, "the rest was sent to one that refuses"
    assert "\x1b" not in str(refused.value)


def test_nobody_there_is_said(secret: Path) -> None:
    with pytest.raises(Unavailable, match="failed: NewConnectionError"):
        Web(f"http://127.0.0.1:{free_port()}", None, lambda: bearer(secret)).send(sent())


@pytest.mark.parametrize("content", ["two words", "", "new\nline", "\x00"])
def test_a_secret_that_is_none_is_not_sent_and_not_said(bucket: Bucket, secret: Path, content: str) -> None:
    secret.write_text(content)
    with pytest.raises(Unavailable, match="one word"):
        Web(bucket.url, None, lambda: bearer(secret)).send(sent())
    secret.chmod(0o644)
    with pytest.raises(Unavailable, match="Others can read"):
        bearer(secret)
    secret.unlink()
    with pytest.raises(Unavailable, match="cannot be read"):
        bearer(secret)
    assert bucket.seen == []


# --- HTTP PUT ------------------------------------------------------------------------------------

DAV = """
server {{
    listen 127.0.0.1:{port};
    root {home}/files;
    location / {{
        if ($http_authorization != "Bearer {secret}") {{ return 401; }}
        dav_methods PUT;
        create_full_put_path on;
    }}
}}
"""


def test_nginx_takes_it_with_the_token_and_not_without(tmp_path: Path, secret: Path) -> None:
    port, home = free_port(), tmp_path / "nginx"
    home.mkdir()
    url = f"http://127.0.0.1:{port}/pki"
    with nginx(home, DAV.format(port=port, home=home, secret=SECRET)):
        with pytest.raises(Unavailable, match="status 401"):
            Web(url, None, lambda: bearer(None)).send(sent())
        Web(url, None, lambda: bearer(secret)).send(sent())
        for item in sent():
            assert (home / "files/pki" / item.path).read_bytes() == item.body
        Web(url, None, lambda: bearer(secret)).send(list(items(published(CRL, b"\x30\x01\x01", 2))))
        assert (home / "files/pki" / CRL).read_bytes() == b"\x30\x01\x01"


def test_over_https_a_server_is_believed_by_the_roots_that_are_named_and_no_others(
    tmp_path: Path, secret: Path, hierarchy: Hierarchy
) -> None:
    key, home, port = ec.generate_private_key(ec.SECP256R1()), tmp_path / "nginx", free_port()
    home.mkdir()
    leaf = x509.load_der_x509_certificate(hierarchy.issue(hierarchy.request("localhost", public_key=spki_of(key))))
    chain = leaf.public_bytes(Encoding.PEM) + hierarchy.issuing_certificate.public_bytes(Encoding.PEM)
    (home / "site.pem").write_bytes(chain)
    (home / "site.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    root = tmp_path / "root.pem"
    root.write_bytes(x509.load_der_x509_certificate(hierarchy.root.certificate).public_bytes(Encoding.PEM))
    files = f"ssl_certificate {home}/site.pem; ssl_certificate_key {home}/site.key; root"
    secure = DAV.replace("{port};", "{port} ssl;").format(port=port, home=home, secret=SECRET).replace("root", files, 1)
    with nginx(home, secure):
        Web(f"https://localhost:{port}", root, lambda: bearer(secret)).send(sent())
        assert (home / "files" / CRL).exists()
        with pytest.raises(Unavailable, match="certificate verify failed"):
            Web(f"https://localhost:{port}", None, lambda: bearer(secret)).send(sent())
        with pytest.raises(Unavailable, match=r"doesn't match|mismatch|not valid for"):
            Web(f"https://127.0.0.1:{port}", root, lambda: bearer(secret)).send(sent())
    with pytest.raises(Unavailable, match="failed"):
        Web(f"https://localhost:{port}", tmp_path / "none.pem", lambda: bearer(secret)).send(sent())
