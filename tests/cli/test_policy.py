"""Policy that gets weaker (`approvals.policy`): it waits, is approved in the web UI, and holds from the next start."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ca import config
from ca.authority import Authority, open_authority
from ca.authority.lights import lights
from ca.errors import ConfigError, PolicyDenied
from ca.journal import history
from ca.records import IssueRequest
from tests.ca.authority.world import a_request
from tests.cli.conftest import Done, Installation
from tests.ports import free_port
from tests.web.ui_passkeys import Authenticator, approve, enrol
from tests.web.ui_people import Browser, signed_in

pytestmark = pytest.mark.slow

SHORT = '[profiles.short-lived]\nvalidity = "6d"\nno_revocation = true\n'


@dataclass
class Site:
    """A CA whose policy two people change, by a file that is written anew and a start that is journalled."""

    ca: Installation
    file: Path
    base: str

    def write(self, names: str = '"first.test"', days: int = 10, policy: str = "true", more: str = "") -> None:
        profile = f'[profiles.server]\nallow_wildcard = true\npermitted_names = [{names}]\nvalidity = "{days}d"\n'
        self.file.write_text(f"{self.base}\n[approvals]\npolicy = {policy}\n{profile}{SHORT}{more}")

    def run(self, *words: str, ok: int = 0) -> Done:
        return self.ca.run(*words, "--config", self.file, ok=ok)

    def open(self) -> Authority:
        return open_authority(config.load(self.file))

    def start(self) -> Authority:
        """What the service does at its start."""
        authority = self.open()
        authority.record_start("test")
        return authority

    def proposed(self) -> str:
        """The page of the proposal."""
        said = json.loads(self.run("config", "approve", "--yes", "--json", ok=6).stderr)["error"]
        assert said["code"] == "approval-needed"
        return "/ui/approvals/" + said["next_step"].partition("/ui/approvals/")[2].partition(",")[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.cli.conftest import make_installation

    ca = make_installation(tmp_path_factory.mktemp("policy"))
    ca.start("signer")
    ca.run("ca", "init", "--root-dir", ca.place.root_token, "--yes")
    base = ca.place.configuration.read_text()
    made = Site(ca, ca.place.configuration.with_name("policy.toml"), base)
    made.write()
    made.start().store.close()
    yield made
    for kind in list(ca.running):
        ca.stop(kind)


@pytest.fixture
def officer(site: Site) -> Iterator[tuple[Browser, Authenticator, Authority]]:
    """A security officer with a passkey, at a service that started with the file as it is now."""
    from web.app import create_app

    authority = site.start()
    origin = authority.config.server.public_url
    browser, passkey = (
        signed_in(create_app(authority, frozenset({"ui"})), authority, "security-officer"),
        Authenticator(origin=origin),
    )
    browser.origin = origin
    assert enrol(browser, passkey).status_code == 303
    yield browser, passkey, authority
    authority.store.close()


def ask(name: str) -> IssueRequest:
    return a_request(name)


def light(authority: Authority) -> tuple[str, str]:
    (found,) = [one for one in lights(authority) if one.name == "Policy"]
    return found.level, found.detail


def test_before_anybody_could_approve_the_operator_does_it_alone(site: Site) -> None:
    site.write(days=11)
    authority = site.start()
    assert authority.profile("server").validity == 10 * 86400
    assert "restarted" in site.run("config", "approve", "--yes").stdout
    assert light(authority) == ("warn", "approved, and not in force yet")
    assert site.start().profile("server").validity == 11 * 86400


def test_what_is_weaker_waits_is_approved_and_holds_from_the_next_start_on(site: Site, officer) -> None:
    browser, passkey, _ = officer
    site.write('"first.test", "second.test"', days=11)
    running = site.start()
    assert running.issue(ask("first.test")).names
    with pytest.raises(PolicyDenied, match=r"second\.test"):
        running.issue(ask("second.test"))
    assert light(running) == ("warn", "profiles.server.permitted_names waits for approval")
    assert site.ca.json("doctor", "--config", site.file, ok=None)["checks"]
    assert "second.test" in site.run("config", "approve", "--dry-run").stdout
    page = site.proposed()
    assert site.proposed() == page  # asked again it is the same proposal
    shown = browser.get(page).text
    cells = (
        "profiles.server.permitted_names",
        "[&#34;first.test&#34;]",
        "[&#34;first.test&#34;, &#34;second.test&#34;]",
    )
    assert all(f'<td class="mono">{cell}</td>' in shown for cell in cells)
    assert approve(browser, passkey, page).status_code == 303
    assert "holds once Certwright is restarted" in browser.get(page).text
    assert light(running) == ("warn", "approved, and not in force yet")
    assert "Nothing in" in site.run("config", "approve").stdout
    after = site.start()
    assert light(after) == ("good", "as it was approved")
    assert after.issue(ask("second.test")).names


def test_what_is_stricter_holds_at_once_and_is_not_taken_back_alone(site: Site) -> None:
    site.write(days=5)
    assert site.start().profile("server").validity == 5 * 86400
    site.write(days=11)
    assert site.open().profile("server").validity == 5 * 86400


def test_nobody_switches_it_off_alone(site: Site) -> None:
    site.write(days=50, policy="false")
    authority = site.start()
    assert authority.config.approvals.policy
    assert authority.profile("server").validity == 5 * 86400
    assert light(authority)[0] == "warn"


def test_a_new_profile_is_not_there_until_it_is_approved(site: Site) -> None:
    site.write(days=5, more='[profiles.other]\nvalidity = "1d"\n')
    offered = site.file.read_text().replace('"short-lived"]', '"short-lived", "other"]')
    assert offered != site.file.read_text()
    site.file.write_text(offered)
    authority = site.start()
    assert "other" not in authority.profiles
    assert "other" not in authority.config.acme.profiles
    assert "server" in site.run("profile", "list").stdout


def test_an_approval_is_for_the_policy_that_it_was_proposed_over(site: Site, officer) -> None:
    browser, passkey, _ = officer
    site.write(days=6)
    page = site.proposed()
    site.write(days=4)
    site.start().store.close()
    assert approve(browser, passkey, page).status_code == 303
    assert "The policy has changed since" in browser.get(page).text
    site.write(days=6)
    assert site.start().profile("server").validity == 4 * 86400


def test_in_an_emergency_one_person_does_it_and_another_reviews(site: Site, officer) -> None:
    browser, passkey, authority = officer
    site.write(days=7)
    said = site.run("config", "approve", "--yes", "--emergency", "the renewal window is too short to live through")
    assert "restarted" in said.stdout
    assert site.start().profile("server").validity == 7 * 86400
    (alone,) = [one for one in authority.store.open_proposals(authority.clock()) if one.state == "emergency"]
    assert approve(browser, passkey, f"/ui/approvals/{alone.id}").status_code == 303
    assert authority.store.proposal(alone.id).state == "reviewed"


def test_the_journal_says_what_held_and_what_waited(site: Site) -> None:
    authority = site.start()
    settled = history(authority.store, "policy:ca")
    assert {one["actor"]["kind"] for one in settled} == {"system", "operator", "user"}
    assert settled[-1]["detail"]["values"]["profiles.server.validity"] == 7 * 86400
    site.write(days=8)
    site.start().store.close()
    (loaded,) = history(authority.store, "process:test")[-1:]
    assert loaded["detail"]["waiting"] == ["profiles.server.max_validity", "profiles.server.validity"]


def test_a_door_for_certificates_that_nobody_approved_is_not_opened(site: Site) -> None:
    from web.serve import certificate_socket

    site.write(days=5, more=f'[ui.client_certificates]\nlisten = "127.0.0.1:{free_port()}"\n')
    assert site.open().weaker
    assert certificate_socket(config.load(site.file), frozenset({"ui"})) is None


def test_a_mixture_that_cannot_be_is_refused_and_says_what_to_do(site: Site) -> None:
    """A network among the approved names, in a profile that has no addresses any more."""
    site.write('"first.test", "10.0.0.0/8"', days=7)
    site.run("config", "approve", "--yes", "--emergency", "an address for the meter that nobody can reach")
    site.start().store.close()
    site.write('"first.test", "second.test"]\nname_kinds = ["dns"', days=7)
    with pytest.raises(ConfigError) as refused:
        site.open()
    assert "one after the other" in refused.value.next_step
    assert "one after the other" in site.run("config", "approve", ok=2).stderr
