"""Commands that take a second person (`approvals.commands`): proposed, approved in the web UI, and run once."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ca import config
from ca.authority import Authority, open_authority, people
from ca.journal import history
from ca.records import Actor
from cli.session import operator
from tests.cli.conftest import Done, Installation
from tests.cli.test_cross import foreign_root
from tests.web.ui_passkeys import Authenticator, approve, enrol
from tests.web.ui_people import Browser, signed_in

pytestmark = pytest.mark.slow

HOST = Actor("operator", "somebody-else")


@dataclass
class Held:
    """A CA whose commands wait for others, and a security officer with a passkey."""

    ca: Installation
    configuration: Path
    authority: Authority
    officer: Browser
    passkey: Authenticator

    def run(self, *words: str | Path, ok: int = 0) -> Done:
        return self.ca.run(*words, "--config", self.configuration, ok=ok)

    def waits(self, *words: str | Path) -> str:
        """Runs what has to wait, and answers the page of its proposal."""
        said = json.loads(self.run(*words, "--json", ok=6).stderr)["error"]
        assert said["code"] == "approval-needed"
        return "/ui/approvals/" + said["next_step"].partition("/ui/approvals/")[2].partition(",")[0]

    def approve(self, page: str) -> None:
        assert approve(self.officer, self.passkey, page).status_code == 303

    def state(self, page: str) -> str:
        return self.authority.store.proposal(page.rpartition("/")[2]).state


@pytest.fixture(scope="module")
def held(ca: Installation) -> Iterator[Held]:
    from web.app import create_app

    configuration = ca.place.configuration.with_name("held.toml")
    configuration.write_text(ca.place.configuration.read_text() + "\n[approvals]\ncommands = true\n")
    authority = open_authority(config.load(configuration))
    app = create_app(authority, frozenset({"ui"}))
    origin = authority.config.server.public_url
    before = Held(ca, configuration, authority, Browser(app, authority), Authenticator(origin=origin))
    before.run("user", "invite", "first", "--role", "viewer", "--yes")  # nobody is there yet who could approve
    before.officer = signed_in(app, authority, "security-officer")
    before.officer.origin = origin
    assert enrol(before.officer, before.passkey).status_code == 303
    yield before
    authority.store.close()


def test_a_command_waits_is_approved_and_runs_once(held: Held) -> None:
    command = ("user", "grant", "first", "--role", "auditor", "--yes")
    page = held.waits(*command)
    assert held.authority.store.person("first").roles == ("viewer",)
    assert held.waits(*command) == page  # asked again it is the same proposal
    shown = held.officer.get(page).text
    assert "On the host: certwright user grant" in shown
    held.approve(page)
    assert held.authority.store.person("first").roles == ("viewer",)  # its operator does it
    assert "Run the same command again" in held.officer.get(page).text
    assert "first is auditor now" in held.run(*command).stdout
    assert held.state(page) == "done"
    assert held.waits(*command) != page


def test_what_was_approved_is_no_leave_for_anything_else(held: Held) -> None:
    held.approve(held.waits("user", "grant", "first", "--role", "viewer", "--yes"))
    held.waits("user", "grant", "first", "--role", "administrator", "--yes")
    held.waits("user", "grant", "first", "--role", "viewer", "--team", "pay", "--yes")
    held.run("user", "grant", "first", "--role", "viewer", "--yes")


def test_a_rotation_waits_before_anything_is_made(held: Held) -> None:
    held.waits("ca", "rotate", "--root-dir", held.ca.place.root_token, "--yes")
    assert {one.id for one in held.authority.store.issuers()} == {"root-g1", "issuing-g1"}
    held.waits("ca", "ceremony", "--root-dir", held.ca.place.root_token, "--yes")
    foreign = foreign_root(held.ca.place.path / "foreign.pem")
    held.waits("ca", "cross-sign", foreign, "--id", "partner-g1", "--root-dir", held.ca.place.root_token, "--yes")
    assert not list(held.ca.place.path.glob("ceremony-[rp]*"))
    assert "issuing-g2" not in {key.id for key in iter(held.authority.signer.keys())}


def test_what_the_named_file_holds_is_approved_with_it(held: Held, tmp_path: Path, make_leaf) -> None:
    file = make_leaf(tmp_path / "leaf.pem")
    held.run("key", "block", file, "--yes")
    page = held.waits("key", "unblock", file, "--yes")
    held.approve(page)
    make_leaf(file)
    held.run("key", "block", file, "--yes")
    assert held.waits("key", "unblock", file, "--yes") != page


@pytest.fixture
def make_leaf(held: Held):
    def make(file: Path) -> Path:
        file.unlink(missing_ok=True)
        key = file.with_suffix(f".{len(list(file.parent.iterdir()))}.key")
        words = ("--new-key", key, "--name", "leaf.test", "--out", file)
        held.run("cert", "issue", *words)
        return file

    return make


def test_a_changed_approval_is_not_believed(held: Held) -> None:
    command = ("user", "enable", "first", "--quiet")
    page = held.waits(*command)
    number = page.rpartition("/")[2]
    held.authority.store.change(
        "UPDATE proposal SET state = 'approved', decided_by = 'x', assertion = '{}' WHERE id = ?", number
    )
    assert "Traceback" not in held.run(*command, ok=4).stderr
    assert held.state(page) == "approved"
    held.authority.store.change("UPDATE proposal SET state = 'refused' WHERE id = ?", number)


def test_nobody_approves_his_own_command_or_his_own_roles(held: Held) -> None:
    officer = held.officer.person
    page = held.waits("user", "grant", officer, "--role", "administrator", "--yes")
    assert held.officer.post(f"{page}/options").status_code == 403
    page = held.waits("user", "enable", "first")
    held.authority.store.change(
        "UPDATE proposal SET proposed_by = ? WHERE id = ?", f"operator:{officer} (sudo)", page[-16:]
    )
    for name in (f"operator:{officer} (sudo)", f"operator:{officer.upper()}"):
        held.authority.store.change("UPDATE proposal SET proposed_by = ? WHERE id = ?", name, page[-16:])
        assert held.officer.post(f"{page}/options").status_code == 403


def test_what_a_pipe_said_is_approved_and_nothing_that_it_says_later(held: Held, tmp_path: Path) -> None:
    """A pipe has no contents to take the digest of beforehand: what was read from it is what counts."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    first, second = (client_certificate(held, tmp_path / name) for name in ("one.test", "two.test"))
    command = ("user", "certificate", "bind", "first", pipe, "--yes")
    with saying(pipe, first):
        page = held.waits(*command)
    assert sha256_of(first) in held.officer.get(page).text
    held.approve(page)
    with saying(pipe, second):
        assert held.waits(*command) != page
    with saying(pipe, first):
        assert sha256_of(first) in held.run(*command).stdout


def client_certificate(held: Held, file: Path) -> bytes:
    words = ("--profile", "client", "--new-key", file.with_suffix(".key"), "--name", file.name, "--out", file)
    held.run("cert", "issue", *words)
    return file.read_bytes()


def sha256_of(pem: bytes) -> str:
    return x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()


@contextmanager
def saying(pipe: Path, content: bytes) -> Iterator[None]:
    writer = threading.Thread(target=pipe.write_bytes, args=(content,), daemon=True)
    writer.start()
    yield
    writer.join(10)
    assert not writer.is_alive()


def test_a_right_that_the_configuration_takes_away_opens_nothing(held: Held) -> None:
    """Less rights hold at once, and so whoever edits the file could do away with everybody who approves."""
    sql = "UPDATE person SET roles = ?, subject = ? WHERE id = ?"
    try:
        for roles, subject in (('["releaser"]', ""), ("[]", "https://id.test 7")):
            held.authority.store.change(sql, roles, subject, held.officer.person)
            held.waits("user", "grant", "first", "--role", "administrator", "--yes")
    finally:
        held.authority.store.change(sql, '["security-officer"]', "", held.officer.person)


def test_a_wide_token_waits_and_a_narrow_one_does_not(held: Held) -> None:
    scope = ("token", "create", "ci", "--profile", "server", "--yes")
    held.run(*scope, "--allow", "*.ci.test", "--allow", "10.1.2.0/24")
    for wide in (("--allow", "**.test"), ("--allow", "*.ci.test", "--allow-wildcard"), ("--allow", "10.0.0.0/8")):
        held.waits(*scope, *wide)
    page = held.waits(*scope, "--allow", "spiffe://td.test/**")
    held.approve(page)
    assert held.run(*scope, "--allow", "spiffe://td.test/**").stdout.startswith("cw_")


def test_a_link_for_who_signs_in_already_waits(held: Held) -> None:
    held.run("user", "link", "first")
    held.waits("user", "link", held.officer.person)


def test_many_revocations_wait_and_take_no_more_than_was_counted(held: Held, tmp_path: Path) -> None:
    command = ("cert", "revoke", "--query", "name:*.held.test", "--reason", "superseded", "--yes")
    held.run("cert", "issue", "--new-key", tmp_path / "a.key", "--name", "a.held.test")
    page = held.waits(*command)
    held.approve(page)
    held.run("cert", "issue", "--new-key", tmp_path / "b.key", "--name", "b.held.test")
    other = held.waits(*command)
    assert other != page
    held.approve(other)
    assert "revoked 2" in held.run(*command).stdout


def test_to_say_what_would_be_done_waits_for_nobody(held: Held) -> None:
    before = len(held.authority.store.proposals())
    held.run("user", "grant", "first", "--role", "administrator", "--dry-run")
    held.run("user", "disable", "first", "--yes")  # taking rights away waits for nobody either
    assert len(held.authority.store.proposals()) == before


def test_in_an_emergency_a_command_runs_at_once_and_is_reviewed(held: Held) -> None:
    command = ("user", "enable", "first", "--emergency", "everybody else is on the same plane")
    assert "Say why" in held.run(*command[:-1], "quick", ok=2).stderr
    held.run(*command)
    assert not held.authority.store.person("first").disabled_at
    (one,) = [one for one in held.authority.store.open_proposals(held.authority.clock()) if one.state == "emergency"]
    assert "Done alone, waiting for your review" in held.officer.get("/ui/").text
    assert "same plane" in held.officer.get(f"/ui/approvals/{one.id}").text
    held.approve(f"/ui/approvals/{one.id}")
    assert [event["action"] for event in history(held.authority.store, f"proposal:{one.id}")] == [
        "proposal.glass-broken",
        "proposal.reviewed",
    ]


def test_shutting_everybody_out_opens_nothing(held: Held) -> None:
    people.disable(held.authority, held.officer.person, HOST)
    try:
        held.waits("user", "grant", "first", "--role", "administrator", "--yes")
    finally:
        people.enable(held.authority, held.officer.person, HOST)


def test_the_operators_name_stands_in_the_proposal(held: Held) -> None:
    page = held.waits("user", "invite", "second", "--role", "viewer", "--yes")
    assert held.authority.store.proposal(page.rpartition("/")[2]).proposed_by == str(operator())
