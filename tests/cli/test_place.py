"""The demo's directory: made in steps that can be done again, and never somebody else's."""

import os
import stat
import subprocess
import sys

import pytest

from ca import config
from ca.errors import BadRequest, ConfigError, Conflict
from cli.place import CONFIGURATION, Place, Ports, default_module

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
needs_softhsm = pytest.mark.skipif(
    not os.path.exists(MODULE), reason="SoftHSM is not installed: apt-get install softhsm2"
)


@pytest.fixture
def place(tmp_path):
    one = Place(tmp_path / "demo")
    one.claim()
    return one


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_softhsm
def test_what_it_makes(place):
    place.prepare(Ports(), MODULE)
    made = config.load(place.configuration)
    assert made.mode == "demo"
    assert made.server.public_url == "https://localhost:8443"
    assert made.server.status_url == "http://127.0.0.1:8080"
    assert made.acme.validation.http_port == 5002
    assert "localhost" in made.ca.permitted_names
    assert {"127.0.0.0/8", "::1/128"} <= set(made.acme.validation.allow_networks)
    assert made.hsm.module == MODULE
    assert [mode(one) for one in (place.pin, place.root_pin)] == [0o600, 0o600]
    assert [mode(one.parent) for one in (place.pin, place.root_pin)] == [0o700, 0o700]
    assert place.pin.read_text() != place.root_pin.read_text()
    assert str(place.root_token) not in place.configuration.read_text()


@needs_softhsm
def test_a_second_time_keeps_pins_and_edits_and_moves_only_its_own_lines(place):
    place.prepare(Ports(), MODULE)
    before = place.pin.read_text(), place.root_pin.read_text()
    edited = place.configuration.read_text().replace("http_port = 5002", "http_port = 5003  # mine")
    place.configuration.write_text(edited)
    place.prepare(Ports(https=9443), MODULE)
    assert (place.pin.read_text(), place.root_pin.read_text()) == before
    made = config.load(place.configuration)
    assert made.server.https_listen == "127.0.0.1:9443"
    assert made.server.public_url == "https://localhost:9443"
    assert made.server.http_listen == "127.0.0.1:8080"
    assert made.acme.validation.http_port == 5003
    place.prepare(Ports(), MODULE)
    assert config.load(place.configuration).server.https_listen == "127.0.0.1:9443"


@needs_softhsm
def test_start_over_throws_away_what_an_interrupted_start_made(place):
    place.prepare(Ports(https=9443), MODULE)
    before = place.pin.read_text()
    place.start_over()
    place.prepare(Ports(), MODULE)
    assert place.pin.read_text() != before
    assert config.load(place.configuration).server.https_listen == "127.0.0.1:9443"


def test_L04_a_ca_that_exists_keeps_the_address_that_its_certificates_name(place):
    """Another port would make CRLs whose scope is not that of the certificates; nothing would be published."""
    place.configuration.write_text(CONFIGURATION)
    place.root.write_text("made")
    with pytest.raises(Conflict) as refused:
        place._configure(Ports(http=9080), MODULE)
    assert "--http-port 8080" in refused.value.next_step
    assert place.configuration.read_text() == CONFIGURATION


def test_a_damaged_file_is_named(place):
    place.configuration.write_text("[server\n")
    with pytest.raises(ConfigError) as refused:
        place._configure(Ports(), MODULE)
    assert "--reset" in refused.value.next_step


def test_a_foreign_directory_is_neither_used_nor_removed(tmp_path):
    (tmp_path / "precious").write_text("x")
    place = Place(tmp_path)
    for deed in (place.claim, place.remove):
        with pytest.raises(Conflict):
            deed()
    assert (tmp_path / "precious").exists()


def test_reset_removes_a_demo_even_half_made(place):
    (place.path / "state").mkdir()
    place.remove()
    assert not place.path.exists()


def test_only_one_runs_and_it_can_be_stopped(place):
    script = (
        "import sys, time, signal; from pathlib import Path; from cli.place import Place\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n"
        "with Place(Path(sys.argv[1])).alone():\n print('holds', flush=True)\n while True: time.sleep(0.05)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(place.path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "holds\n"
    assert place.runner() == other.pid
    with pytest.raises(Conflict, match="already"), place.alone():
        pass
    assert place.stop() is True
    assert other.wait(5) == 0
    assert place.stop() is False


def test_a_stale_pid_file_names_nobody(place):
    """A killed demo's number may belong to somebody else by now: it is never signalled."""
    place.pid_file.write_text(f"{os.getpid()}\n")
    assert place.runner() == 0
    assert place.stop() is False


def test_without_a_module_the_launcher_is_named(monkeypatch):
    monkeypatch.delenv("CERTWRIGHT_PKCS11_MODULE", raising=False)
    monkeypatch.delenv("CERTWRIGHT_HSM__MODULE", raising=False)
    with pytest.raises(BadRequest) as refused:
        default_module()
    assert "./certwright demo" in refused.value.next_step
