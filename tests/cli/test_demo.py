"""The demo as a newcomer meets it: ready soon, idempotent, killed in every way, and never in anybody's way."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cli.place import Place
from cli.processes import KINDS
from tests.ports import free_port

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists(MODULE), reason="SoftHSM is not installed: apt-get install softhsm2"),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc"),
]


@dataclass(frozen=True)
class Demo:
    """One demo directory on ports of its own."""

    folder: Path
    https_port: int
    http_port: int

    @property
    def place(self) -> Place:
        return Place(self.folder)

    def spawn(self, *words: str, **more) -> "subprocess.Popen[str]":
        """`certwright demo` with these options."""
        known = {name: value for name, value in os.environ.items() if not name.startswith("CERTWRIGHT_")}
        ports = ["--https-port", str(self.https_port), "--http-port", str(self.http_port)]
        command = [sys.executable, "-m", "cli.main", "demo", "--dir", str(self.folder), *ports, *words]
        environment = {**known, "CERTWRIGHT_PKCS11_MODULE": MODULE, **more}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *words: str, ok: int = 0, **more) -> str:
        process = self.spawn(*words, **more)
        said, _ = process.communicate(timeout=180)
        assert "Traceback" not in said, said
        assert process.returncode == ok, f"it ended with {process.returncode}:\n{said}"
        return said

    def command(self, *words: str, ok: int = 0) -> str:
        """Another command over the demo's configuration."""
        command = [sys.executable, "-m", "cli.main", *words, "--config", str(self.place.configuration)]
        environment = {**os.environ, "CERTWRIGHT_PKCS11_MODULE": MODULE}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == ok, done.stdout + done.stderr
        return done.stdout

    def children(self) -> dict[str, int]:
        """The pid of each kind, by what /proc says of the running processes."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if str(self.place.configuration).encode() in words and b"--only" in words:
                kind = words[words.index(b"--only") + 1].decode()
                if parent == self.place.runner():
                    found[kind] = int(entry.name)
        return found

    def processes(self) -> list[str]:
        """Command lines of every process that has to do with this directory."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.folder) in line and state != "Z" and entry.name != str(os.getpid()):
                found.append(line)
        return found

    def get(self, path: str, secure: bool = False) -> tuple[int, bytes]:
        """A GET at one of the doors; 0 when nobody answers."""
        port = self.https_port if secure else self.http_port
        context = ssl.create_default_context(cafile=self.place.root) if secure else None
        url = f"{'https' if secure else 'http'}://localhost:{port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5, context=context) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except OSError:
            return 0, b""

    def ready(self) -> bool:
        return self.get("/ready")[0] == 200 and self.get("/ready", secure=True)[0] == 200

    def fingerprint(self) -> str:
        root = x509.load_pem_x509_certificate(self.place.root.read_bytes())
        return root.fingerprint(hashes.SHA256()).hex(":").upper()


def eventually(what, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen")


def make(folder: Path) -> Demo:
    return Demo(folder / "certwright-demo", free_port(), free_port())


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[Demo]:
    """A demo that was never started."""
    made = make(tmp_path)
    yield made
    made.place.stop()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demo; each test leaves it running."""
    made = make(tmp_path_factory.mktemp("demo"))
    began = time.monotonic()
    said = made.run("--detach")
    (made.folder / "said").write_text(said)
    (made.folder / "seconds").write_text(str(time.monotonic() - began))
    yield made
    made.place.stop()


@pytest.mark.parametrize("busy", ["https_port", "http_port"])
def test_a_busy_port_is_said_before_anything_names_it(blank: Demo, busy: str) -> None:
    """Else the CA that was just made would be of no use at the ports that are chosen next."""
    with socket.create_server(("127.0.0.1", getattr(blank, busy))):
        said = blank.run("--detach", ok=1)
    assert "choose another port" in said
    assert "ceremony" not in said
    other = replace(blank, https_port=free_port(), http_port=free_port())
    other.run("--detach")
    assert other.ready()


# --- what it is -----------------------------------------------------------------------------------


def test_it_is_ready_when_detach_returns_and_soon(demo):
    assert demo.ready()
    assert float((demo.folder / "seconds").read_text()) < 20


def test_the_screen_says_where_everything_is(demo):
    said = (demo.folder / "said").read_text()
    assert f"https://localhost:{demo.https_port}/acme/directory" in said
    assert demo.fingerprint() in said
    assert "DO NOT TRUST" in said
    assert "software token" in said
    assert str(demo.place.root_pin) in said
    assert "offline" in said


def test_the_sign_in_link_goes_into_a_private_file_where_there_is_no_terminal(demo):
    said = demo.run("--json")
    link = (demo.folder / "first-login").read_text()
    assert re.fullmatch(rf"https://localhost:{demo.https_port}/ui/link#[\w-]{{43}}\n", link)
    assert stat.S_IMODE((demo.folder / "first-login").stat().st_mode) == 0o600
    assert link.strip() not in said
    assert json.loads(said)["sign_in"] == str(demo.folder / "first-login")
    assert demo.command("user", "link").startswith(f"https://localhost:{demo.https_port}/ui/link#")
    assert b"One-time link" in demo.get("/ui/link", secure=True)[1]


def test_the_certbot_line_is_the_contract_s(demo):
    said = (demo.folder / "said").read_text()
    line = next(one.strip() for one in said.splitlines() if "certonly" in one)
    folder = demo.folder
    assert line == (
        f"REQUESTS_CA_BUNDLE={folder}/root.pem certbot certonly --standalone -n --agree-tos "
        "--register-unsafely-without-email --http-01-address 127.0.0.1 --http-01-port 5002 "
        f"--config-dir {folder}/cb --work-dir {folder}/cb --logs-dir {folder}/cb "
        f"--server https://localhost:{demo.https_port}/acme/directory -d demo.localhost"
    )


def test_without_certbot_it_says_how_to_get_it(demo, tmp_path):
    (tmp_path / "bin").mkdir()
    assert "apt-get install certbot" in demo.run(PATH=str(tmp_path / "bin"))


def test_its_root_says_demo_and_ends_in_thirty_days(demo):
    root = x509.load_pem_x509_certificate(demo.place.root.read_bytes())
    assert "DEMO – DO NOT TRUST" in root.subject.rfc4514_string()
    assert (root.not_valid_after_utc - root.not_valid_before_utc).days <= 30


def test_pins_are_private_and_different_and_token_stores_are_separate(demo):
    place = demo.place
    assert [stat.S_IMODE(pin.stat().st_mode) for pin in (place.pin, place.root_pin)] == [0o600, 0o600]
    assert place.pin.read_text() != place.root_pin.read_text()
    assert list((demo.folder / "hsm" / "tokens").iterdir())
    assert list((demo.folder / "root" / "tokens").iterdir())
    assert "root/" not in place.configuration.read_text().replace(str(demo.folder), "")


def test_it_has_samples_of_each_kind(demo):
    rows = json.loads(demo.command("cert", "list", "--json"))
    assert {row["profile"] for row in rows} >= {"server", "client", "mtls", "short-lived", "own"}
    assert {row["status"] for row in rows} == {"valid", "revoked"}
    assert len([row for row in rows if row["profile"] == "own"]) == 1


def test_the_doctor_finds_nothing(demo):
    eventually(lambda: json.loads(demo.command("doctor", "--json"))["ok"])
    levels = {one["name"]: one["level"] for one in json.loads(demo.command("doctor", "--json"))["checks"]}
    assert set(levels.values()) == {"ok"}, levels


def test_the_doors_are_where_the_contract_says(demo):
    assert json.loads(demo.get("/acme/directory", secure=True)[1])["newNonce"]
    assert demo.get("/health", secure=True)[0] == 200
    assert demo.get("/api/openapi.json", secure=True)[0] == 200
    assert b"BEGIN CERTIFICATE" in demo.get("/roots.pem")[1]
    assert demo.get("/crl/issuing-g1/0000.crl")[0] == 200
    assert demo.get("/ca/issuing-g1.cer")[0] == 200
    assert demo.get("/acme/directory")[0] == 404
    assert b"certwright_job_runs_total" in demo.get("/metrics", secure=True)[1]


def test_a_second_start_shows_the_screen_and_changes_nothing(demo):
    before = demo.place.runner()
    assert demo.fingerprint() in demo.run()
    assert demo.fingerprint() in demo.run("--detach")
    assert json.loads(demo.run("--json"))["root_sha256"] == demo.fingerprint()
    assert demo.place.runner() == before


# --- killed in every way --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_comes_back(demo, kind):
    """HOUSE §3: any process may be killed at any moment without loss."""
    before = demo.children()
    assert set(before) == set(KINDS)
    os.kill(before[kind], signal.SIGKILL)
    eventually(lambda: demo.children().get(kind, before[kind]) != before[kind])
    eventually(demo.ready)
    demo.command("audit", "verify")
    after = demo.children()
    assert {name: pid for name, pid in after.items() if name != kind} == {
        name: pid for name, pid in before.items() if name != kind
    }


def test_a_killed_supervisor_leaves_nobody_and_the_next_start_goes_on(demo):
    rows = demo.command("cert", "list", "--json")
    fingerprint = demo.fingerprint()
    os.kill(demo.place.runner(), signal.SIGKILL)
    demo.run("--detach")
    assert demo.ready()
    assert demo.fingerprint() == fingerprint
    assert demo.command("cert", "list", "--json") == rows
    demo.command("audit", "verify")


def test_a_killed_supervisor_frees_its_ports(demo):
    os.kill(demo.place.runner(), signal.SIGKILL)
    eventually(lambda: not demo.processes())
    for port in (demo.https_port, demo.http_port):
        socket.create_server(("127.0.0.1", port)).close()
    demo.run("--detach")


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.8, 3.0])
def test_a_start_that_was_killed_in_the_middle_goes_on(blank, seconds):
    first = blank.spawn()
    time.sleep(seconds)
    first.kill()
    first.communicate()
    blank.run("--detach")
    assert blank.ready()
    blank.command("audit", "verify")
    assert blank.command("cert", "list", "--json").count('"own"') == 1


def test_a_lost_root_pem_does_not_cost_the_ca(demo):
    fingerprint = demo.fingerprint()
    demo.run("--stop")
    demo.place.root.unlink()
    demo.run("--detach")
    assert demo.fingerprint() == fingerprint


# --- its end --------------------------------------------------------------------------------------


def test_stop_ends_everything_and_may_be_said_twice(blank):
    blank.run("--detach")
    assert "Stopped" in blank.run("--stop")
    eventually(lambda: not blank.processes(), 5)
    assert "No demo runs" in blank.run("--stop")
    tail = blank.place.log.read_text().splitlines()[-8:]
    ended = [json.loads(line)["event"] for line in tail]
    assert ended.index("fetcher.stopped") < ended.index("scheduler.stopped") < ended.index("signer.stopped")


def test_ctrl_c_is_clean(blank):
    running = blank.spawn()
    assert running.stdout is not None
    lines = iter(running.stdout.readline, "")
    assert any("Stop: Ctrl-C" in line for line in lines)
    assert blank.ready()
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "Traceback" not in said
    assert blank.processes() == []


def test_reset_makes_another_ca(blank):
    blank.run("--detach")
    before = blank.fingerprint()
    blank.run("--reset", "--detach")
    assert blank.ready()
    assert blank.fingerprint() != before


# --- bad circumstances ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["https_port", "http_port"])
def test_a_busy_port_is_named(blank, which):
    with socket.create_server(("127.0.0.1", getattr(blank, which))):
        said = blank.run("--detach", ok=1)
    assert str(getattr(blank, which)) in said
    assert f"--{which.replace('_', '-')}" in said
    eventually(lambda: not blank.processes(), 10)
    blank.run("--detach")


def test_a_wrong_pin_is_named_and_tried_once(blank):
    blank.run("--detach")
    blank.run("--stop")
    right = blank.place.pin.read_text()
    blank.place.pin.write_text("1234567890\n")
    said = blank.run("--detach", ok=5)
    assert "PIN" in said
    assert "1234567890" not in said + blank.place.log.read_text()
    refusals = [line for line in blank.place.log.read_text().splitlines() if "CKR_PIN_INCORRECT" in line]
    assert refusals
    eventually(lambda: not blank.processes())
    blank.place.pin.write_text(right)
    blank.run("--detach")
    assert blank.ready()


def test_a_foreign_directory_is_left_alone(blank):
    blank.folder.mkdir()
    (blank.folder / "thesis.tex").write_text("precious")
    for words in ((), ("--reset",), ("--detach",)):
        assert "no demo's directory" in blank.run(*words, ok=1)
    assert (blank.folder / "thesis.tex").read_text() == "precious"


def test_a_full_disk_is_named(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "none", disk]).returncode
    ):
        pytest.skip("no small disk can be mounted here")
    try:
        said = make(disk).run("--detach", ok=1)
        assert re.search("space|full", said), said
    finally:
        subprocess.run(["umount", disk], check=True)


def test_without_a_module_it_says_how_to_start(blank):
    assert "./certwright demo" in blank.run(ok=2, CERTWRIGHT_PKCS11_MODULE="")
