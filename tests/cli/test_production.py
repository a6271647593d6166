"""Production mode as root starts it: five users, each with its own files and its own rights at the signer.

The service is the real one. The thief of a process is a program under that process's uid that tries everything.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ca.errors import ConfigError, HSMUnavailable
from ca.keys.client import SignerClient
from ca.keys.signer import guard
from ca.records import KeyPurpose, SignKind
from ca.users import MEMBERS
from cli import guards
from tests.cli.conftest import eventually
from tests.cli.production import GROUPS, MODULE, ROOT, UIDS, Host, as_user, certwright, interpreter, new_host
from tests.web.desk import csr, pem

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", name="host")
def serving_host() -> Iterator[Host]:
    """A host in production, as an operator sets it up, and served."""
    with new_host() as host:
        host.run("key", "provision", host.lib / "hsm", "--yes")
        host.run("ca", "init", "--root-dir", host.folder / "root", "--yes")
        with host.serving():
            eventually(lambda: "service.ready" in host.log, 60)
            yield host


# --- the users ----------------------------------------------------------------------------------


def processes(host: Host) -> dict[str, list[Path]]:
    """The processes of this host by kind, with their workers."""
    found: dict[str, list[Path]] = {kind: [] for kind in MEMBERS}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode().split("\0")
            known = (folder / "environ").read_bytes().decode()
        except (OSError, UnicodeDecodeError):
            continue
        if "--only" in words and str(host.file) in known:
            found[words[words.index("--only") + 1]].append(folder)
    return found


def test_each_process_is_its_own_user_with_nothing_of_root(host: Host) -> None:
    for kind, folders in processes(host).items():
        assert folders, kind
        for folder in folders:
            lines = (folder / "status").read_text().splitlines()
            status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
            assert status["Uid"] == [str(UIDS[kind])] * 4
            assert status["Gid"] == [str(UIDS[kind])] * 4
            assert set(status["Groups"]) == {str(GROUPS[one]) for one in MEMBERS[kind]}
            assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
            assert status["NoNewPrivs"] == ["1"]
            assert re.search(r"^Max core file size +0 +0 ", (folder / "limits").read_text(), re.MULTILINE), kind


def test_it_is_what_the_ceremony_was_told(host: Host) -> None:
    shown = host.json("ca", "show", "issuing-g1")
    assert shown["subject"] == "CN=Certwright Issuing G1"
    assert {"test", "localhost", "127.0.0.0/8"} <= set(shown["permitted"])


def test_it_issues_by_api(host: Host) -> None:
    secret = host.run("token", "create", "ci", "--profile", "server", "--allow", "*.test").stdout.strip()
    root = host.folder / "api-root.pem"
    root.write_bytes(fetched(host, "roots.pem"))
    body = host.folder / "body"
    body.write_text(json.dumps({"csr": pem(csr("a.test")), "profile": "server"}))
    url = f"https://localhost:{host.https}/api/v1/certificates"
    words = ["--header", f"Authorization: Bearer {secret}", "--header", "Content-Type: application/json"]
    words += ["--header", "Idempotency-Key: one", "--data-binary", f"@{body}", url]
    done = subprocess.run(["curl", "-sS", "--cacert", root, *words], capture_output=True, text=True, check=True)
    leaf = x509.load_pem_x509_certificate(json.loads(done.stdout)["certificate"].encode())
    assert host.json("cert", "show", f"{leaf.serial_number:x}")["names"] == ["a.test"]


def fetched(host: Host, path: str) -> bytes:
    done = subprocess.run(["curl", "-sSf", f"http://127.0.0.1:{host.http}/{path}"], capture_output=True, check=True)
    return done.stdout


def test_it_issues_by_acme(host: Host) -> None:
    if shutil.which("certbot") is None:
        pytest.skip("certbot is not here: apt-get install certbot")
    root, folder = host.folder / "acme-root.pem", host.folder / "certbot"
    root.write_bytes(fetched(host, "roots.pem"))
    words = ["certonly", "--standalone", "-n", "--agree-tos", "--register-unsafely-without-email"]
    words += ["--http-01-address", "127.0.0.1", "--http-01-port", str(host.http01), "-d", "demo.localhost"]
    words += ["--server", f"https://localhost:{host.https}/acme/directory"]
    for one in ("config", "work", "logs"):
        words += [f"--{one}-dir", str(folder)]
    environment = {**os.environ, "REQUESTS_CA_BUNDLE": str(root)}
    done = subprocess.run(["certbot", *words], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "live" / "demo.localhost" / "fullchain.pem").exists()


def test_an_operators_revocation_is_published_for_all(host: Host) -> None:
    """Root writes into folders of others, and they go on writing there."""
    made = host.folder / "revoked.pem"
    host.run("cert", "issue", "--new-key", host.folder / "key", "--name", "b.test", "--out", made)
    host.run("cert", "revoke", made, "--reason", "superseded", "--yes")
    assert "revoked" in host.run("ocsp", "check", made, ok=1).stdout
    assert host.run("crl", "publish", user="scheduler").returncode == 0
    host.run("cert", "list", user="web")


# --- the thief of each process ------------------------------------------------------------------

PATHS = {
    "configuration": "etc/certwright.toml",
    "folder of the configuration": "etc",
    "pins": "lib/signer/keys.json",
    "folder of pins": "lib/signer",
    "ledger": "lib/signer/ledger",
    "token": "lib/hsm/tokens",
    "pin": "lib/secrets/pin",
    "root": "root/pin",
    "database": "lib/records/certwright.sqlite",
    "folder of the database": "lib/records",
    "publications": "lib/public",
    "a publication": "lib/public/roots.pem",
    "door key": "lib/tls/current/key.pem",
    "nonces": "lib/nonces",
    "key of external accounts": "lib/eab",
    "folder of the signer's socket": "run/signer",
    "folder of the fetcher's socket": "run/fetcher",
    "counters": "lib/metrics",
    "state": "lib",
}
ALL = {"configuration", "folder of the configuration", "publications", "a publication", "counters", "state"}
RECORDS = {"database", "folder of the database", "door key"}
SIGNER = {"pins", "folder of pins", "ledger", "token", "pin"}

READS = {
    "signer": ALL | SIGNER | {"folder of the signer's socket"},
    "fetcher": ALL | {"folder of the fetcher's socket"},
    "scheduler": ALL | RECORDS | {"folder of the signer's socket", "folder of the fetcher's socket"},
    "status": ALL | {"folder of the signer's socket"},
    "web": ALL
    | RECORDS
    | {"nonces", "key of external accounts", "folder of the signer's socket", "folder of the fetcher's socket"},
}
WRITES = {
    "signer": SIGNER | {"folder of the signer's socket", "counters"},
    "fetcher": {"folder of the fetcher's socket", "counters"},
    "scheduler": RECORDS | {"publications", "a publication", "counters"},
    "status": {"counters"},
    "web": RECORDS | {"publications", "a publication", "nonces", "key of external accounts", "counters"},
}
ASKS = {
    "web": {"health", "keys", "last-crl"},
    "scheduler": {"health", "keys", "last-crl", "ledger", "renew-responder"},
    "status": {"health", "keys"},
}
SIGNS = {
    "web": {SignKind.CERTIFICATE, SignKind.CRL, SignKind.OCSP},
    "scheduler": {SignKind.CERTIFICATE, SignKind.CRL, SignKind.OCSP, SignKind.CHECKPOINT},
}


def attack(host: Host, process: str) -> dict[str, object]:
    named = [f"{key}={host.folder / path}" for key, path in PATHS.items()]
    program = [
        interpreter(),
        str(ROOT / "tests" / "cli" / "attacker.py"),
        str(host.config.path(host.config.signer.socket)),
    ]
    command = [*as_user(process), *program, *named]
    done = subprocess.run(command, env=host.environment, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("process", MEMBERS)
def test_a_stolen_process_gets_its_own_files_and_its_own_rights(host: Host, process: str) -> None:
    got = attack(host, process)
    assert set(got["reads"]) == READS[process]
    assert set(got["writes"]) == WRITES[process]
    refused = {name for name, answer in got["signer"].items() if answer in ("denied", "hsm-unavailable")}
    everything = set(got["signer"])
    if process == "signer":  # it is the key's own user; nobody else may act as an operator
        assert not refused
    elif process == "fetcher":
        assert refused == everything
    else:
        assert refused == everything - ASKS[process] - {f"sign {kind}" for kind in SIGNS.get(process, ())}


HOLD = """
import socket, sys
held = [socket.socket(socket.AF_UNIX) for _ in range(400)]
for one in held:
    one.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_process_that_holds_every_connection_leaves_room_for_the_others(host: Host) -> None:
    socket = host.config.path(host.config.signer.socket)
    command = [*as_user("status"), interpreter(), "-c", HOLD, str(socket)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/") as thief:
        assert thief.stdout.readline() == b"held\n"
        assert eventually(lambda: _is_well(socket))
        thief.stdin.close()


def _is_well(signer: Path) -> bool:
    """It answers within its second; on a machine with more to do, at one of the next looks."""
    try:
        return SignerClient(signer).health().ok
    except HSMUnavailable:
        return False


def test_counters_of_another_are_read_and_neither_changed_nor_deleted(host: Host) -> None:
    of_web = next(one for one in (host.lib / "metrics").iterdir() if one.stat().st_uid == UIDS["web"])
    for words, ok in ((["cat", of_web], 0), (["truncate", "-s0", of_web], 1), (["rm", "-f", of_web], 1)):
        done = subprocess.run([*as_user("fetcher"), *map(str, words)], capture_output=True)
        assert done.returncode == ok, words
    assert b'certwright_job_runs_total{job="sequence_journal",result="ok"}' in metrics(host)


def metrics(host: Host) -> bytes:
    command = ["curl", "-sSk", f"https://localhost:{host.https}/metrics"]
    return subprocess.run(command, capture_output=True, check=True).stdout


# --- whose root it is ---------------------------------------------------------------------------

FORGED = """
import sys
from dataclasses import replace
from ca.folder import Folder
folder = Folder(sys.argv[1])
was = folder.get("roots.pem")
assert folder.apply(replace(was, version=was.version + 1, body=open(sys.argv[2], "rb").read()))
"""


def test_trust_is_told_by_the_transcript_and_not_by_what_is_published(host: Host) -> None:
    """A stolen worker publishes a root of its own, well-formed and newer: nobody is told to trust it."""
    told = host.json("trust", "install")
    root = x509.load_pem_x509_certificate(fetched(host, "roots.pem"))
    assert told["sha256"] == root.fingerprint(SHA256()).hex(":").upper()
    published, own = host.lib / "public" / "roots.pem", host.folder / "own.pem"
    right = published.read_bytes()
    host.run("cert", "issue", "--new-key", host.folder / "own.key", "--name", "c.test", "--out", own)
    forge = [*as_user("web"), interpreter(), "-c", FORGED, str(published.parent), str(own)]
    subprocess.run(forge, env=host.environment, check=True, cwd="/")
    try:
        assert fetched(host, "roots.pem") == own.read_bytes(), "it is what machines would fetch"
        assert "not the one of the ceremony" in host.run("trust", "install", ok=5).stderr
    finally:
        published.write_bytes(right)


def test_a_transcript_that_others_can_write_is_not_believed(host: Host) -> None:
    transcript = host.file.parent / "ceremony-issuing-g1.json"
    transcript.chmod(0o666)
    try:
        assert "chmod 0644" in host.run("trust", "install", ok=2).stderr
    finally:
        transcript.chmod(0o644)
    refused = host.run("trust", "install", "--transcript", host.folder / "none.json", ok=3).stderr
    assert "--sha256" in refused
    for given, ok in (("12:34", 2), ("00" * 32, 5)):
        host.run("trust", "install", "--sha256", given, ok=ok)


# --- what is refused ----------------------------------------------------------------------------


def test_it_is_not_served_by_one_user(host: Host) -> None:
    refused = host.run("serve", user="web", ok=2)
    assert "each process has a user of its own" in refused.stderr
    assert "as root" in refused.stderr


def test_no_process_runs_as_the_user_of_another(host: Host) -> None:
    for kind, user in (("status", "web"), ("signer", "scheduler")):
        refused = host.run("serve", "--only", kind, user=user, ok=2)
        assert f"the {kind} runs as {UIDS[kind]}" in refused.stderr


def test_the_doctor_finds_users_and_places_in_order(host: Host) -> None:
    checks = {one["name"]: one for one in host.json("doctor")["checks"]}
    assert {checks[name]["level"] for name in ("mode", "settings", "users", "pin")} == {"ok"}
    found = {name: one for name, one in checks.items() if name.startswith("place ")}
    assert len(found) >= 14
    assert not {name: one for name, one in found.items() if one["level"] != "ok"}
    assert checks["token"]["level"] == "warn"


WRONG = {
    "place signer.state_dir": ("lib/signer", 0o750, "chmod 0700"),
    "place hsm.pin_source": ("lib/secrets/pin", 0o640, "chmod 0600"),
    "place hsm.environment": ("lib/hsm", 0o755, "chmod 0700"),
    "place configuration": ("etc/certwright.toml", 0o664, "chmod 0644"),
    "place database.url": ("lib/records", 0o2777, "chmod 2770"),
    "place signer.socket": ("run/signer", 0o2755, "chmod 2750"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_doctor_names_a_place_that_is_open_and_the_command_that_mends_it(host: Host, name: str) -> None:
    path, mode, step = WRONG[name]
    right = (host.folder / path).stat().st_mode
    (host.folder / path).chmod(mode)
    try:
        with pytest.raises(ConfigError) as told:
            guards.place_checks(host.config)[name](host.config)
    finally:
        (host.folder / path).chmod(right)
    assert step in told.value.next_step


# --- what the signer refuses at its start -------------------------------------------------------


@pytest.fixture(scope="module", name="still")
def furnished_host() -> Iterator[Host]:
    """A host whose places are made, and on which nothing runs."""
    with new_host() as host:
        host.run("key", "provision", host.lib / "hsm", "--yes")
        yield host


STARTS = "it would start"


def refusal(host: Host) -> str:
    """What the signer says as its own user, in a child of this process: nothing when it would start."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writing, _refused_as_signer(host).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as told:
        words = told.read()
    os.waitpid(child, 0)
    assert words, "the child ended without a word"
    return "" if words == STARTS else words


def _refused_as_signer(host: Host) -> str:
    os.setgroups([GROUPS["everyone"]])
    os.setresgid(*[UIDS["signer"]] * 3)
    os.setresuid(*[UIDS["signer"]] * 3)
    try:
        guard.demand_safe_surroundings(host.config)
    except ConfigError as error:
        return f"{error.detail} {error.next_step}"
    return STARTS


def test_the_signer_refuses_to_start_and_says_why(still: Host) -> None:
    assert refusal(still) == ""
    (still.lib / "secrets" / "pin").chmod(0o640)
    try:
        assert "chmod 0600" in still.run("serve", "--only", "signer", ok=2).stderr
    finally:
        (still.lib / "secrets" / "pin").chmod(0o600)


@pytest.mark.parametrize("path", ["lib/signer", "lib/secrets/pin", "lib/hsm", "lib", "etc/certwright.toml", "etc"])
@pytest.mark.parametrize("open_for", [0o060, 0o006, 0o022])
def test_the_signer_refuses_what_others_can_use(still: Host, path: str, open_for: int) -> None:
    right = (still.folder / path).stat().st_mode
    (still.folder / path).chmod(right | open_for)
    try:
        words = refusal(still)
    finally:
        (still.folder / path).chmod(right)
    assert "chmod" in words


def test_the_signer_refuses_places_of_another_owner(still: Host) -> None:
    os.chown(still.lib / "signer", UIDS["web"], UIDS["web"])
    try:
        assert f"chown {UIDS['signer']}" in refusal(still)
    finally:
        os.chown(still.lib / "signer", UIDS["signer"], UIDS["signer"])


def test_two_processes_never_share_a_user_and_none_is_root(still: Host) -> None:
    for changed, words in (({"web": UIDS["signer"]}, "are the same"), ({"web": 0}, "which is root")):
        still.configure(**changed)
        assert words in refusal(still)
    still.configure(web="nobody-by-that-name")
    assert "there is no user nobody-by-that-name" in refusal(still)
    assert "sysusers" in refusal(still)
    still.configure()


def test_in_production_the_file_names_the_module(still: Host) -> None:
    text = still.file.read_text()
    still.file.write_text(text.replace(MODULE, ""))
    try:
        assert "Set hsm.module" in refusal(still)
    finally:
        still.file.write_text(text)


def test_folders_of_different_users_are_different_folders(still: Host) -> None:
    text = still.file.read_text()
    still.file.write_text(text.replace("/run/fetcher/", "/run/signer/"))
    try:
        assert "signer.socket and acme.validation.socket share the folder" in refusal(still)
    finally:
        still.file.write_text(text)


@contextmanager
def signing(host: Host) -> Iterator[SignerClient]:
    """A signer alone, as root starts it, that answers."""
    client = SignerClient(host.config.path(host.config.signer.socket))
    process = subprocess.Popen(
        certwright("serve", "--only", "signer"), env=host.environment, cwd="/", stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: settled(client))
        yield client
    finally:
        process.terminate()
        process.wait(30)


def settled(client: SignerClient) -> bool:
    try:
        health = client.health()
    except HSMUnavailable:
        return False
    return "opened" not in health.detail and "not open yet" not in health.detail


def test_production_wants_hardware(still: Host) -> None:
    text = still.file.read_text()
    still.file.write_text(text.replace("accept_software_token = true", ""))
    try:
        with signing(still) as client:
            assert "production mode wants hardware" in client.health().detail
    finally:
        still.file.write_text(text)


def test_a_demos_keys_never_sign_in_production(still: Host) -> None:
    """Every owner and mode put right by hand: the pins themselves say what they are."""
    text = still.file.read_text()
    still.file.write_text(f'mode = "demo"\n{text}')
    with signing(still) as client:
        client.generate("journal-g1", KeyPurpose.JOURNAL, "ec-p256")
    still.file.write_text(text)
    shutil.rmtree(still.folder / "run")
    for path in (still.lib / "signer", still.lib / "hsm", *still.lib.glob("signer/**/*"), *still.lib.glob("hsm/**/*")):
        os.chown(path, UIDS["signer"], UIDS["signer"])
    refused = still.run("serve", ok=2).stderr
    assert "never come into production" in refused
    assert "ca init" in refused
