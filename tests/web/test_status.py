"""The status plane's answers: O-01, O-03, O-08, O-09, O-11, O-12, and what plain HTTP does not serve."""

import base64
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest
from cryptography.x509 import ocsp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from tests.conftest import OwnClock
from tests.web.plane import Plane, get_path
from web.counters import STATUS, StatusCounts
from web.status import DOORS, MAX_REQUEST, StatusPlane

MALFORMED, TRY_LATER, UNAUTHORIZED = (bytes.fromhex(f"30030a010{n}") for n in (1, 3, 6))
OCSP = "application/ocsp-response"


@pytest.fixture
def clock(plane: Plane) -> OwnClock:
    return OwnClock(plane.now + 3600)


@pytest.fixture
def client(plane: Plane, clock: OwnClock) -> Client:
    return Client(StatusPlane(plane.folder, clock, StatusCounts()))


def post(client: Client, der: bytes) -> TestResponse:
    return client.post("/ocsp", data=der, content_type="application/ocsp-request")


def is_refusal(answer: TestResponse, der: bytes) -> bool:
    return (
        answer.status_code == 200
        and answer.data == der
        and answer.content_type == OCSP
        and answer.headers["Cache-Control"] == "no-store"
        and "ETag" not in answer.headers
    )


# --- OCSP ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_o01_o02_o08_get_and_post_give_the_published_answer_in_the_askers_hash(
    plane: Plane, client: Client, algorithm: str
) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    request = plane.request(serial, algorithm)
    posted, got = post(client, request), client.get(get_path(request))
    assert posted.data == got.data
    assert (posted.status_code, posted.content_type) == (200, OCSP)
    answer = ocsp.load_der_ocsp_response(posted.data)
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.hash_algorithm.name == algorithm
    assert answer.serial_number == serial


def test_a_revocation_is_served_by_the_next_request(plane: Plane, client: Client) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    path = get_path(plane.request(serial))
    first = client.get(path)
    plane.publish_answers(serial, revoked_at=plane.now, version=2)
    second = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert second.status_code == 200, "the old validator does not hold"
    assert ocsp.load_der_ocsp_response(second.data).certificate_status is ocsp.OCSPCertStatus.REVOKED


def test_o03_an_unknown_serial_is_unauthorized_never_good_or_unknown(plane: Plane, client: Client) -> None:
    assert is_refusal(post(client, plane.request(plane.hierarchy.serial())), UNAUTHORIZED)


def test_o07_a_nonce_gets_the_published_answer(plane: Plane, client: Client) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    answer = post(client, plane.request(serial, nonce=b"n" * 32))
    assert ocsp.load_der_ocsp_response(answer.data).certificate_status is ocsp.OCSPCertStatus.GOOD
    assert is_refusal(post(client, plane.request(serial, nonce=b"n" * 129)), MALFORMED)


def test_o12_an_answer_past_its_next_update_is_try_later(plane: Plane, client: Client, clock: OwnClock) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial, life=7200)
    clock.now = plane.now + 7199
    assert post(client, plane.request(serial)).data != TRY_LATER
    clock.now += 1
    assert is_refusal(post(client, plane.request(serial)), TRY_LATER)


def test_a_folder_that_cannot_be_read_is_try_later(plane: Plane, client: Client) -> None:
    """A name too long for the file system stands for every error of the disk; root may read everything else."""
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    loop = plane.folder.root / "ocsp"
    loop.rename(plane.folder.root / "gone")
    loop.symlink_to("ocsp")
    assert is_refusal(post(client, plane.request(serial)), TRY_LATER)


@pytest.mark.parametrize("junk", [b"", b"\x30", b"\x30\x00", b"GET / HTTP/1.1", b"\xff" * 300, b"0" * MAX_REQUEST])
def test_o11_junk_is_malformed_request(client: Client, junk: bytes) -> None:
    assert is_refusal(post(client, junk), MALFORMED)
    if junk:
        assert is_refusal(client.get(get_path(junk)), MALFORMED)


@given(st.binary(max_size=200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_o11_any_bytes_get_a_der_answer(client: Client, junk: bytes) -> None:
    answer = post(client, junk)
    assert answer.status_code == 200
    assert answer.data in (MALFORMED, UNAUTHORIZED)


@given(st.text(max_size=200))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_path_gets_an_answer_and_no_error(client: Client, text: str) -> None:
    for path in ("/" + text, "/ocsp/" + text, "/crl/" + text, "/staple/" + text):
        assert client.get(path).status_code in (200, 404, 405)


def test_get_forgives_what_clients_do_to_base64(plane: Plane, client: Client) -> None:
    """O-08: %2F or /, %2B or + or a blank that was one, the URL alphabet, with or without padding or an extra slash."""
    serial, encoded = _awkward(plane)
    plane.publish_answers(serial)
    plain = encoded.rstrip("=")
    forms = [
        encoded,
        plain,
        encoded.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
        plain.replace("+", "-").replace("/", "_"),
        plain.replace("+", "%20"),
        "/" + encoded,
    ]
    for form in forms:
        answer = client.get("/ocsp/" + form)
        assert answer.data not in (MALFORMED, UNAUTHORIZED), form


def _awkward(plane: Plane) -> tuple[int, str]:
    """A serial whose request has a slash, a plus and padding in its base64."""
    while True:
        serial = plane.hierarchy.serial()
        encoded = base64.b64encode(plane.request(serial)).decode()
        if {"/", "+"} <= set(encoded) and "//" not in encoded and encoded.endswith("="):
            return serial, encoded


def test_a_request_over_the_bound_is_malformed(client: Client) -> None:
    assert is_refusal(client.get("/ocsp/" + "M" * (MAX_REQUEST + 1)), MALFORMED)


# --- caching ------------------------------------------------------------------------------------


def test_o09_caching_headers_lie_within_next_update(plane: Plane, client: Client, clock: OwnClock) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial, life=86400)
    path = get_path(plane.request(serial))
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "max-age=300, public, no-transform, must-revalidate"
    assert headers["Expires"] == formatdate(plane.now + 86400, usegmt=True)
    assert headers["Last-Modified"] == formatdate(plane.now, usegmt=True)
    assert headers["ETag"].startswith('"'), "strong"
    clock.now = plane.now + 86400 - 7
    assert client.get(path).headers["Cache-Control"].startswith("max-age=7,")


def test_o09_conditional_requests(plane: Plane, client: Client) -> None:
    plane.publish_crl()
    path = "/crl/issuing-g1/0000.crl"
    first = client.get(path)
    etag, modified = first.headers["ETag"], first.headers["Last-Modified"]
    for condition in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        again = client.get(path, headers={"If-None-Match": condition})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == etag
        assert "Cache-Control" in again.headers
    assert client.get(path, headers={"If-Modified-Since": modified}).status_code == 304
    for other in (-1, 1, 60):  # a download's own time lies after a backdated thisUpdate
        moved = formatdate(parsedate_to_datetime(modified).timestamp() + other, usegmt=True)
        assert client.get(path, headers={"If-Modified-Since": moved}).status_code == 200
    assert client.get(path, headers={"If-Modified-Since": "no date"}).status_code == 200
    both = {"If-None-Match": '"other"', "If-Modified-Since": modified}
    assert client.get(path, headers=both).status_code == 200, "If-None-Match alone decides"
    assert client.get(path, headers={"If-None-Match": "junk"}).status_code == 200


def test_head_is_get_without_a_body(plane: Plane, client: Client) -> None:
    plane.publish_crl()
    for path in ("/crl/issuing-g1/0000.crl", "/ca/issuing-g1.cer", "/roots.pem", "/ready"):
        head, got = client.head(path), client.get(path)
        assert (head.status_code, head.data) == (200, b"")
        assert dict(head.headers) == dict(got.headers)
        assert head.headers["Content-Length"] == str(len(got.data))


def test_ranges_on_crls(plane: Plane, client: Client) -> None:
    der = plane.publish_crl()
    path, size = "/crl/issuing-g1/0000.crl", len(der)
    whole = client.get(path)
    assert whole.headers["Accept-Ranges"] == "bytes"
    for header, start, stop in (("0-9", 0, 10), ("10-", 10, size), ("-5", size - 5, size), ("5-99999", 5, size)):
        part = client.get(path, headers={"Range": f"bytes={header}"})
        assert (part.status_code, part.data) == (206, der[start:stop])
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{size}"
    beyond = client.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{size}")
    for ignored in ("bytes=0-1,3-4", "lines=1-2", "bytes=x", "bytes=5-1"):
        assert client.get(path, headers={"Range": ignored}).data == der
    same, other = whole.headers["ETag"], '"other"'
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": same}).status_code == 206
    assert client.get(path, headers={"Range": "bytes=0-1", "If-Range": other}).status_code == 200
    assert client.get("/ca/issuing-g1.cer", headers={"Range": "bytes=0-1"}).status_code == 200


# --- files --------------------------------------------------------------------------------------


def test_l10_files_have_their_content_types(plane: Plane, client: Client) -> None:
    plane.publish_crl()
    plane.put("crl/issuing-g1/full.crl", b"full", "application/pkix-crl", 60)
    plane.put("crl/issuing-g1/delta/0000.crl", b"delta", "application/pkix-crl", 60)
    kinds = {
        "/crl/issuing-g1/0000.crl": "application/pkix-crl",
        "/crl/issuing-g1/full.crl": "application/pkix-crl",
        "/crl/issuing-g1/delta/0000.crl": "application/pkix-crl",
        "/ca/issuing-g1.cer": "application/pkix-cert",
        "/ca/issuing-g1.pem": "application/x-pem-file",
        "/chain/issuing-g1.pem": "application/x-pem-file",
        "/roots.pem": "application/x-pem-file",
    }
    for path, kind in kinds.items():
        answer = client.get(path)
        assert (answer.status_code, answer.content_type) == (200, kind), path


def test_a_staple_file_is_the_ocsp_answer(plane: Plane, client: Client, clock: OwnClock) -> None:
    serial = plane.issue("a.test").serial_number
    path = f"/staple/{serial:038x}.der"
    assert client.get(path).status_code == 404
    plane.publish_answers(serial, life=7200)
    answer = client.get(path)
    assert answer.data == post(client, plane.request(serial)).data
    assert answer.content_type == OCSP
    clock.now = plane.now + 7200
    assert client.get(path).status_code == 404, "an expired answer would take the server's stapling down"


def test_ready_wants_crls_that_have_not_ended(plane: Plane, client: Client, clock: OwnClock) -> None:
    """A folder that is not fed any more: another host may do better."""
    plane.publish_crl()
    assert client.get("/ready").status_code == 200
    clock.now += 7 * 86400
    assert client.get("/ready").status_code == 503
    plane.put("crl/issuing-g1/0000.crl", b"a newer one", "application/pkix-crl", 8 * 86400, 2)
    assert client.get("/ready").status_code == 200


def test_ready_wants_the_roots(plane: Plane, client: Client) -> None:
    assert client.get("/ready").data == b"OK\n"
    (plane.folder.root / "roots.pem").unlink()
    assert client.get("/ready").status_code == 503


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/index.html",
        "/health",
        "/metrics",
        "/acme/directory",
        "/api/v1/certificates",
        "/ui/",
        "/roots.pem/",
        "/ready/x",
        "/crl/issuing-g1/0.crl",
        "/crl/issuing-g1/00000.crl",
        "/crl/ISSUING/0000.crl",
        "/crl/../roots.pem",
        "/crl/issuing-g1/../../roots.pem",
        "/ca/../../../etc/passwd",
        "/ca/issuing-g1.key",
        "/.fed",
        "/.locks/00",
        "/ocspx",
        "/staple/0.der",
        "/staple/zz.der",
        "//roots.pem",
        "/roots.pem%00",
        "/roots.pem%0a",
    ],
)
def test_nothing_else_answers_on_plain_http(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_published_answers_are_no_files(plane: Plane, client: Client) -> None:
    serial = plane.issue("a.test").serial_number
    plane.publish_answers(serial)
    published = next((plane.folder.root / "ocsp").glob("*/*")).relative_to(plane.folder.root)
    assert client.get(f"/{published}").data == MALFORMED


EXAMPLES = {
    "ocsp_get": "/ocsp/MA==",
    "ocsp_post": "/ocsp",
    "crl": "/crl/issuing-g1/0000.crl",
    "ca": "/ca/issuing-g1.cer",
    "chain": "/chain/issuing-g1.pem",
    "roots": "/roots.pem",
    "staple": "/staple/01.der",
    "ready": "/ready",
}


def test_methods_are_denied_by_default(plane: Plane, client: Client) -> None:
    plane.publish_crl()
    assert set(EXAMPLES) == {door.name for door in DOORS}
    for door in DOORS:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            answer = client.open(EXAMPLES[door.name], method=method)
            assert (answer.status_code == 405) == (method not in door.methods), (door.name, method)
            if answer.status_code == 405:
                assert answer.headers["Allow"] == ", ".join(door.methods)


# --- counting and memory ------------------------------------------------------------------------


def test_every_request_is_counted_by_door_and_result(plane: Plane, client: Client) -> None:
    def counts() -> list[float]:
        wanted = (("crl", "ok"), ("crl", "not_modified"), ("none", "not_found"), ("ocsp_post", "malformed"))
        return [STATUS.labels(*labels)._value.get() for labels in wanted]

    plane.publish_crl()
    before = counts()
    etag = client.get("/crl/issuing-g1/0000.crl").headers["ETag"]
    client.get("/crl/issuing-g1/0000.crl", headers={"If-None-Match": etag})
    client.get("/etc/passwd")
    post(client, b"junk")
    assert [b - a for a, b in zip(before, counts(), strict=True)] == [1, 1, 1, 1]


def test_the_shelf_keeps_within_its_budget_and_serves_large_files_still(plane: Plane, tmp_path: Path) -> None:
    from web.shelf import OVERHEAD, Shelf

    shelf = Shelf(plane.folder, budget=100_000)
    for number in range(50):
        plane.put(f"ca/many-{number}.cer", b"x" * 5000, "application/pkix-cert")
        assert shelf.find(f"ca/many-{number}.cer") is not None
    assert shelf._held <= 100_000
    assert len(shelf._entries) == 100_000 // (5000 + OVERHEAD)
    plane.put("ca/large.cer", b"x" * 60_000, "application/pkix-cert")
    large = shelf.find("ca/large.cer")
    assert large is not None
    assert large.size == 60_000
    assert "ca/large.cer" not in shelf._entries


def test_a_file_that_vanishes_is_forgotten(plane: Plane, client: Client) -> None:
    assert client.get("/ca/issuing-g1.cer").status_code == 200
    (plane.folder.root / "ca/issuing-g1.cer").unlink()
    assert client.get("/ca/issuing-g1.cer").status_code == 404
