"""How this CA looks at itself from outside: the stopwatch of a revocation and the probe, over real HTTP."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from cryptography import x509

from ca import crl, relying
from ca.config import Config
from ca.errors import CAError, NotFound, Unavailable
from ca.folder import Folder
from ca.records import Publication, Reason, RevokeRequest, serial_shard
from tests.ca.authority.conftest import make, template  # noqa: F401 - worlds without token and processes
from tests.ca.authority.fast import ISSUER, FastWorld
from tests.ca.authority.world import OPERATOR
from web.counters import StatusCounts
from web.status import StatusPlane

DAY = 86400
GONE = RevokeRequest(Reason.KEY_COMPROMISE, OPERATOR)

pytestmark = pytest.mark.slow


class Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def serving(world: FastWorld, folder: Folder | None = None) -> Iterator[str]:
    """The status plane over the world's folder, or another one, on its clock."""
    with serving_plane(StatusPlane(folder or world.authority.publisher.folder, world.clock, StatusCounts())) as url:
        yield url


@contextmanager
def serving_plane(plane: StatusPlane) -> Iterator[str]:
    """A status plane behind a plain HTTP server."""

    def bounded(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"] = BytesIO(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        return plane(environ, start_response)

    with served(bounded) as url:
        yield url


@contextmanager
def served(application: Any) -> Iterator[str]:
    """A WSGI application behind a plain HTTP server; answers its origin."""
    server = make_server("127.0.0.1", 0, application, handler_class=Silent)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def world(make: Callable[..., FastWorld]) -> FastWorld:  # noqa: F811
    return make()


def watched(world: FastWorld, *nodes: str) -> None:
    """The nodes to look at from now on."""
    world.config = world.config.model_copy(
        update={"server": world.config.server.model_copy(update={"status_nodes": list(nodes)})}
    )
    world.restart()


def test_a_revocation_is_timed_as_it_is_seen_from_outside(world: FastWorld) -> None:
    certificate = world.issue()
    world.authority.publish_crls()
    old = max(
        world.crl(serial_shard(certificate.serial)).next_update_utc.timestamp(),
        world.crl(crl.FULL).next_update_utc.timestamp(),
        world.answer(certificate.serial).next_update_utc.timestamp(),
    )
    with serving(world) as url:
        watched(world, url)
        done = world.authority.revoke_serial(ISSUER, certificate.serial, GONE)
        seen = world.authority.watch(done, 5)
    assert 0 <= seen.ocsp_ms < 5000
    assert 0 <= seen.crl_ms < 5000
    assert seen.good_until == old, "the true upper bound: whoever kept the last good one"
    assert world.authority.store.stopwatch(ISSUER, certificate.serial) == seen
    assert world.authority.watch_revocations() == ()


def test_the_slowest_node_counts_and_the_scheduler_goes_on_looking(world: FastWorld, tmp_path: Any) -> None:
    """A second node whose folder is fed later: the stopwatch runs until it shows the revocation too."""
    certificate = world.issue()
    world.authority.publish_crls()
    late = Folder(tmp_path / "second")
    for publication in world.authority.store.after(0):
        late.apply(publication)
    with serving(world) as first, serving(world, late) as second:
        watched(world, first, second)
        done = world.authority.revoke_serial(ISSUER, certificate.serial, GONE)
        seen = world.authority.watch(done, 0.2)
        assert (seen.ocsp_ms, seen.crl_ms) == (-1, -1)
        assert world.authority.store.slow_revocations(world.clock() + 1, 0) == 1
        world.clock.now += 30
        for publication in world.authority.store.after(0):
            late.apply(publication)
        [found] = world.authority.watch_revocations()
        assert (found.ocsp_ms, found.crl_ms) == (30_000, 30_000)
        assert world.authority.store.slow_revocations(world.clock() + 1, 0) == 0


def files_of(root: Path) -> Callable[..., list[bytes]]:
    """A plain web server over a folder, as nginx is or a bucket: GET alone."""

    def application(environ: Any, start_response: Any) -> list[bytes]:
        file = root / environ["PATH_INFO"].lstrip("/")
        there = environ["REQUEST_METHOD"] == "GET" and file.is_file()
        start_response("200 OK" if there else "404 Not Found", [])
        return [file.read_bytes() if there else b""]

    return application


@pytest.mark.parametrize(
    ("only", "held"), [([], {"ocsp", "crl"}), (["crl"], {"crl"}), (["ocsp"], {"ocsp"}), (["ca"], set())]
)
def test_a_target_that_relying_parties_fetch_from_is_looked_at_too(
    world: FastWorld, tmp_path: Path, only: list[str], held: set[str]
) -> None:
    """A bucket that is fed later holds the stopwatch up, for what it carries; it answers OCSP by GET alone."""
    certificate = world.issue()
    world.authority.publish_crls()
    with serving(world) as node, served(files_of(tmp_path)) as bucket:
        watched(world, node)
        target = {"kind": "folder", "path": tmp_path, "only": only, "fetch_url": f"{bucket}/"}
        world.config = Config.model_validate({**world.config.model_dump(), "targets": {"edge": target}})
        world.restart()
        world.authority.feed_targets(local=True)
        done = world.authority.revoke_serial(ISSUER, certificate.serial, GONE)
        seen = world.authority.watch(done, 0.2)
        assert {part for part, ms in (("ocsp", seen.ocsp_ms), ("crl", seen.crl_ms)) if ms < 0} == held
        world.authority.feed_targets(local=True)
        world.authority.watch_revocations()
        assert not world.authority.store.stopwatch(ISSUER, certificate.serial).runs
        troubles = [
            one for one in world.authority.probe() if one.trouble and "root" not in one.what
        ]  # it has no root CRL
        assert not troubles


def test_a_node_that_does_not_answer_delays_nothing(world: FastWorld) -> None:
    certificate = world.issue()
    watched(world, "http://127.0.0.1:9")
    done = world.authority.revoke_serial(ISSUER, certificate.serial, GONE)
    assert world.authority.watch(done, 60).runs
    assert world.authority.watch_revocations() == ()


def test_an_upgrade_starts_the_stopwatch_again(world: FastWorld) -> None:
    certificate = world.issue()
    with serving(world) as url:
        watched(world, url)
        for reason in (Reason.SUPERSEDED, Reason.KEY_COMPROMISE):
            world.clock.now += 100
            done = world.authority.revoke_serial(ISSUER, certificate.serial, RevokeRequest(reason, OPERATOR))
            seen = world.authority.watch(done, 5)
            assert not seen.runs
            assert seen.asked_at == world.clock()


# --- the probe ----------------------------------------------------------------------------------


def test_inc03_the_probe_warns_at_half_of_the_life_of_what_can_be_fetched(world: FastWorld) -> None:
    world.issue()
    world.authority.publish_crls()
    root = crl.build(
        world.hierarchy.root, world.hierarchy.root_key, [], 1, world.clock() - 60, world.clock() + 20 * DAY
    )
    path = crl.shard_path("root-g1", 0)
    world.authority.publisher.put(Publication(path, root, 1, crl.CONTENT_TYPE, world.clock() - 60, world.clock() + DAY))
    with serving(world) as url:
        watched(world, url)
        found = {one.what: one for one in world.authority.probe()}
        assert set(found) == {
            "crl:root-g1:0000",
            *(f"crl:{ISSUER}:{n:04x}" for n in range(4)),
            f"crl:{ISSUER}:full",
            f"ocsp:{ISSUER}",
        }
        assert not [one for one in found.values() if one.trouble]
        assert all(0 <= one.used < 0.01 for one in found.values())
        world.clock.now += DAY // 2 + 700
        found = {one.what: one for one in world.authority.probe()}
        assert [one.what for one in found.values() if one.trouble] == [f"ocsp:{ISSUER}"]
        assert "half" not in found[f"ocsp:{ISSUER}"].trouble
        assert "51%" in found[f"ocsp:{ISSUER}"].trouble
        world.clock.now += 4 * DAY
        found = {one.what: one for one in world.authority.probe()}
        assert {one.what for one in found.values() if not one.trouble} == {"crl:root-g1:0000"}
    gone = world.authority.probe()
    assert all("no answer" in one.trouble for one in gone)


def test_what_is_not_signed_by_its_issuer_is_not_believed(world: FastWorld) -> None:
    world.authority.publish_crls()
    issuing = world.hierarchy.issuing_certificate
    root = x509.load_der_x509_certificate(world.hierarchy.root.certificate)
    body = world.authority.publisher.get(crl.full_path(ISSUER)).body
    relying.read_crl(body, issuing, world.clock())
    for wrong, issuer, now in (
        (body, root, 0),
        (body[:-1] + b"\0", issuing, 0),
        (b"junk", issuing, 0),
        (body, issuing, 9 * DAY),
    ):
        with pytest.raises(CAError):
            relying.read_crl(wrong, issuer, world.clock() + now)
    for answer in (b"", b"junk"):
        with pytest.raises(Unavailable):
            relying.read_answer(answer)
    with serving(world) as url, pytest.raises(NotFound):
        relying.read_answer(relying.fetch(f"{url}/ocsp", relying.request(issuing, 4711)))
