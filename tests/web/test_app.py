"""Around all doors: ids, headers, bounds, addresses, health, metrics, and errors that tell nothing of the inside."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import structlog
from flask import Flask
from flask.testing import FlaskClient

from ca.authority import Authority
from ca.config import Config
from ca.errors import CAError, ConfigError
from tests.ca.authority.world import World
from tests.web.desk import CERTIFICATES, Asker, problem
from web import requests
from web.app import create_app
from web.problems import STATUS, status_of
from web.requests import client_address, networks

TOKEN = "scrape-me-0123456789"


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def from_outside(client: FlaskClient, path: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get(path, headers=named, environ_base={"REMOTE_ADDR": "192.0.2.7"})


# --- health -------------------------------------------------------------------------------------


def test_health_says_alive_and_nothing_more(client: FlaskClient) -> None:
    answer = from_outside(client, "/health")
    assert (answer.status_code, answer.get_json()) == (200, {"status": "alive"})


def test_ready_tells_strangers_only_whether(client: FlaskClient) -> None:
    answer = from_outside(client, "/ready")
    assert set(answer.get_json()) == {"status"}


def test_ready_names_what_is_missing_to_this_machine(app: Flask, world: World, authority: Authority) -> None:
    authority.publish_crls()
    authority.renew_responders()
    client = create_app(authority, frozenset()).test_client()
    well = client.get("/ready")
    assert well.status_code == 200, well.data
    assert {check["name"] for check in well.get_json()["checks"]} >= {"database", "signer"}
    world.kill_signer()
    try:
        missing = create_app(authority, frozenset()).test_client().get("/ready")
    finally:
        world.start_signer()
    assert missing.status_code == 503
    signer = next(check for check in missing.get_json()["checks"] if check["name"] == "signer")
    assert not signer["ok"]
    assert signer["next_step"]


def test_a_forwarded_request_is_not_of_this_machine(client: FlaskClient) -> None:
    """A proxy on loopback that nobody declared must not open what is for loopback alone."""
    for header in ("X_Forwarded_For", "Forwarded"):
        answer = client.get("/metrics", headers={header.replace("_", "-"): "127.0.0.1"})
        problem(answer, 401, "unauthenticated")


def test_metrics_are_for_loopback_or_the_token(world: World, authority: Authority, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    server = authority.config.server.model_copy(update={"metrics_token_file": file})
    config = authority.config.model_copy(update={"server": server})
    config._root = authority.config._root
    opened = Authority(**{**vars(authority), "config": config})
    client = create_app(opened, frozenset()).test_client()
    assert client.get("/metrics").status_code == 200
    assert from_outside(client, "/metrics", Authorization=f"Bearer {TOKEN}").status_code == 200
    assert "checks" in from_outside(client, "/ready", Authorization=f"Bearer {TOKEN}").get_json()
    for wrong in ("", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", "Bearer ä"):
        problem(from_outside(client, "/metrics", Authorization=wrong), 401)
    file.write_text("")
    problem(from_outside(client, "/metrics", Authorization="Bearer "), 401)


def test_without_a_token_file_metrics_are_shut_from_outside(client: FlaskClient) -> None:
    problem(from_outside(client, "/metrics", Authorization="Bearer "), 401)


# --- ids, headers, log --------------------------------------------------------------------------


def test_every_answer_has_an_id_and_the_security_headers(client: FlaskClient) -> None:
    for path in ("/health", "/nothing", CERTIFICATES, "/api/openapi.json"):
        answer = client.get(path)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "Strict-Transport-Security" not in answer.headers, "a demo must not bind localhost to HTTPS"


def test_in_production_browsers_are_told_to_stay_with_https() -> None:
    app = Flask("production")
    requests.install(app, Config(mode="production"))
    answer = app.test_client().get("/")
    assert "max-age" in answer.headers["Strict-Transport-Security"]


@pytest.mark.parametrize(
    "bad", ["short", "with blank 123", "x" * 65, 'quote"quote', "new\\nline-12345", "ümlaut-12345"]
)
def test_a_given_id_is_kept_if_it_is_one(client: FlaskClient, bad: str) -> None:
    assert client.get("/health", headers={"X-Request-Id": "trace.me-01"}).headers["X-Request-Id"] == "trace.me-01"
    assert client.get("/health", headers={"X-Request-Id": bad}).headers["X-Request-Id"] != bad


def test_each_request_is_logged_once_without_secrets(asker: Asker) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        answer = asker.get(f"{CERTIFICATES}?text=x", X_Request_Id="a-log-line")
    assert answer.status_code == 200
    lines = [line for line in logs if line["event"] == "request"]
    assert len(lines) == 1
    assert (lines[0]["request_id"], lines[0]["status"], lines[0]["path"]) == ("a-log-line", 200, CERTIFICATES)
    assert lines[0]["actor"].startswith("token:")
    assert asker.secret not in str(logs)


def test_probes_are_not_logged(client: FlaskClient) -> None:
    with structlog.testing.capture_logs() as logs:
        client.get("/health")
    assert not logs


# --- errors -------------------------------------------------------------------------------------


def test_unknown_paths_and_methods_are_problems(client: FlaskClient) -> None:
    problem(client.get("/nothing"), 404)
    answer = client.delete("/health")
    problem(answer, 405)
    assert "GET" in answer.headers["Allow"]
    problem(client.get("/api/v1/" + "x" * 3000), 404)


def test_an_accident_tells_nothing_and_is_logged(
    asker: Asker, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the inside")

    monkeypatch.setattr(authority.store, "find", fail)
    with structlog.testing.capture_logs() as logs:
        answer = asker.get(CERTIFICATES)
    problem(answer, 500, "internal")
    assert "inside" not in answer.text
    assert any(line.get("exc_info") for line in logs)


def test_what_is_missing_inside_is_logged_and_told_to_no_asker(asker: Asker, world: World) -> None:
    """Paths, hosts and users of this side: an error of the signer or the database names them."""
    world.kill_signer()
    try:
        with structlog.testing.capture_logs() as logs:
            answer = asker.issue()
    finally:
        world.start_signer()
    problem(answer, 503, "hsm-unavailable")
    assert str(world.place.path) not in answer.text
    assert any(str(world.place.path) in str(line.get("detail")) for line in logs)


def subclasses(kind: type[CAError]) -> set[type[CAError]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_error_has_a_status() -> None:
    """Errors on this side never blame the asker; errors of the asker never look like ours."""
    for kind in subclasses(CAError):
        if kind.__module__ != "ca.errors":
            continue
        made = kind("x", retry_after=1) if kind.__name__ == "RateLimited" else kind("x")
        assert status_of(made) in {400, 401, 403, 404, 409, 422, 429, 500, 503}
    assert {status for kind, status in STATUS.items() if kind.__name__ == "CAError"} == {500}


def test_an_unknown_face_is_refused(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="telnet"):
        create_app(authority, frozenset({"telnet"}))


def test_a_closed_door_is_not_there(authority: Authority) -> None:
    client = create_app(authority, frozenset()).test_client()
    problem(client.get(CERTIFICATES), 404)
    problem(client.get("/api/openapi.json"), 404)
    problem(client.get("/acme/directory"), 404)


# --- addresses ----------------------------------------------------------------------------------

PROXIES = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "6.6.6.6", "192.0.2.1"),
        ("10.0.0.1", "192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9", "192.0.2.9"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.9, 10.0.0.2", "192.0.2.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "junk", "10.0.0.1"),
        ("10.0.0.1", "6.6.6.6, junk, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8::1", "2001:db9::5", "2001:db9::5"),
        ("junk", "6.6.6.6", "junk"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_trusted_proxies_are_networks() -> None:
    assert networks(["10.0.0.0/8"]) == PROXIES[:1]
    with pytest.raises(ConfigError, match="trusted_proxies"):
        networks(["10.0.0.1/8"])
    assert Config().server.trusted_proxies == []


# --- the ACME door beside Flask -----------------------------------------------------------------


def test_acme_stands_before_flask_with_the_same_around_it(authority: Authority) -> None:
    client = create_app(authority, frozenset({"acme"})).test_client()
    before = _directories(client.get("/metrics").text)
    answer = client.get("/acme/directory", headers={"X-Request-Id": "trace.me-01"})
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (200, "trace.me-01")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert _directories(client.get("/metrics").text) == before + 1
    problem(client.get("/acmes"), 404)


def _directories(metrics: str) -> float:
    """How often the directory was answered, also for tests that ran before in this process."""
    name = 'certwright_acme_request_seconds_count{resource="/directory",status="200"} '
    return sum(float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))


def test_acme_is_no_door_of_a_process_without_its_face(authority: Authority) -> None:
    problem(create_app(authority, frozenset({"api"})).test_client().get("/acme/directory"), 404)
