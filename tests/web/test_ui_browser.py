"""The stories of the UI, walked by Debian's Chromium on a real demo with SoftHSM. One demo for them all."""

import base64
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from acme import errors
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from ca.clock import system_clock
from tests.web.desk import csr, pem

pytest.importorskip("playwright")
from playwright.sync_api import Browser, expect

from bench.screens import SCREENS, walk
from bench.screens_data import fill, fill_zone
from tests import oidc_provider
from tests.interop import library, world
from tests.oidc_provider import Provider
from tests.ports import free_port
from tests.secret_file import secret
from tests.web.browser import CHROMIUM, Demo, Person, chromium, come_by_link, demo, violations

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(
        not Path("/usr/lib/softhsm/libsofthsm2.so").exists(),
        reason="SoftHSM is not installed: apt-get install softhsm2",
    ),
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Where the demo's people may sign in too."""
    with oidc_provider.running() as running:
        yield running


@pytest.fixture(scope="module")
def card_port() -> int:
    """Where client certificates are shown."""
    return free_port()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, provider: Provider, card_port: int) -> Iterator[Demo]:
    """A demo with certificates of several teams."""
    file = secret(tmp_path_factory.mktemp("provider") / "secret", oidc_provider.SECRET)
    oidc = {
        "issuer": provider.issuer,
        "client_id": oidc_provider.CLIENT,
        "client_secret_file": str(file),
        "roles": {"operator": ["pki"]},
    }
    more = {
        "CERTWRIGHT_UI__OIDC": json.dumps(oidc),
        "CERTWRIGHT_UI__CLIENT_CERTIFICATES__LISTEN": f"127.0.0.1:{card_port}",
    }
    with demo(tmp_path_factory.mktemp("ui") / "demo", **more) as running:
        fill(running.configuration, 20)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def first(made: Demo, browser: Browser) -> Person:
    """Whoever started the demo: came by the link that it left in first-login, and enrolled a passkey."""
    return come_by_link(browser, (made.folder / "first-login").read_text().strip())


def test_the_first_sign_in_leads_home_and_the_passkey_signs_in_again(first: Person) -> None:
    page = first.open("/ui/")
    expect(page.get_by_role("heading", name="Home")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(re.compile(r"/ui/$"))
    assert not first.trouble


def test_single_sign_on_leads_in_and_proves_it_again(first: Person, browser: Browser, provider: Provider) -> None:
    provider.back = f"{first.base}/ui/sign-in/oidc/back"
    provider.add("olga", "pki")
    provider.lies = {"auth_time": 1}  # she proved it long ago
    page = browser.new_context(ignore_https_errors=True).new_page()
    page.goto(f"{first.base}/ui/issue/here")
    for button in ("Single sign-on", "Confirm by single sign-on"):
        page.get_by_role("button", name=button).click()
        page.get_by_label("User").fill("olga")
        page.get_by_role("button", name="Log in").click()
        provider.lies = {}
    page.wait_for_url(re.compile(r"/ui/issue/here$"))
    expect(page.get_by_role("heading", name="A key made in this browser")).to_be_visible()
    expect(page.get_by_role("link", name="olga")).to_be_visible()
    page.context.close()


def test_a_client_certificate_signs_in_at_a_door_of_its_own(
    made: Demo, browser: Browser, first: Person, card_port: int, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "card.key", tmp_path / "card.pem"
    words = ("cert", "issue", "--profile", "client", "--new-key", str(key), "--name", "carda.test", "--json")
    serial = json.loads(made.run(*words))["serial"]
    certificate.write_text(made.run("cert", "show", serial, "--pem"))
    made.run("user", "invite", "carda", "--role", "operator")
    card = {"origin": f"https://localhost:{card_port}", "certPath": str(certificate), "keyPath": str(key)}
    with_card = browser.new_context(ignore_https_errors=True, client_certificates=[card])
    page = with_card.new_page()
    page.goto(f"{first.base}/ui/issue/here")
    page.get_by_role("button", name="Sign in with a certificate").click()
    expect(page.get_by_text("Nobody signs in by this certificate")).to_be_visible()
    made.run("user", "certificate", "bind", "carda", str(certificate))
    page.goto(f"{first.base}/ui/account")
    page.get_by_role("button", name="Sign in with a certificate").click()
    expect(page.get_by_role("heading", name="Certificates that sign you in")).to_be_visible()
    page.goto(f"{first.base}/ui/issue/here")
    expect(page.get_by_text("a certificate signs in, and confirms nothing")).to_be_visible()
    with_card.close()
    first.open("/ui/people")
    first.page.get_by_role("button", name="of carda").click()
    expect(first.page.get_by_role("heading", name="Certificates that sign in")).to_be_hidden()


def test_a_password_with_an_authenticator_app_signs_in_too(made: Demo, browser: Browser) -> None:
    link = made.run("user", "invite", "dora", "--role", "viewer", "--quiet", "--yes")
    page = browser.new_context(ignore_https_errors=True).new_page()
    page.goto(link)
    page.wait_for_url("**/ui/enrol")
    secret = page.locator("input[name=secret]").input_value()
    app = TOTP(base64.b32decode(secret), 6, SHA1(), 30)
    page.get_by_label("The code that it shows").fill(app.generate(system_clock()).decode())
    page.get_by_label("Password, 12 characters or more").fill("four words that do not")
    page.get_by_role("button", name="Set both").click()
    page.wait_for_url(re.compile(r"/ui/$"))
    page.get_by_role("button", name="Sign out").click()
    page.get_by_label("Name").fill("dora")
    page.get_by_label("Password").fill("four words that do not")
    page.get_by_label("Code of the authenticator app").fill(app.generate(system_clock() + 30).decode())
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(re.compile(r"/ui/$"))
    page.context.close()


def test_find_by_san_revoke_and_see_it_as_a_client(first: Person) -> None:
    page = first.open("/ui/certificates")
    page.get_by_label("Query").fill("san:*.pay.test status:valid")
    page.wait_for_url(re.compile("q=san"))  # found as it is typed, and the address is the state
    page.locator("tr[data-row] a").first.click()
    page.get_by_label("Reason").select_option("superseded")
    page.get_by_label("Comment").fill("<script>document.title='run'</script>")
    page.get_by_role("button", name="Revoke for ever").click()
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"OCSP and CRL carry it since [\d.]+ s"))
    page.get_by_role("button", name="Check now").click()
    says = page.get_by_text(re.compile(r"revoked( for superseded)? at"))
    expect(says).to_have_count(2)
    assert page.title() != "run"
    assert not first.trouble


def test_the_keyboard_alone_filters_and_opens(first: Person) -> None:
    page = first.open("/ui/")
    page.keyboard.press("/")
    page.keyboard.type("san:*.shop.test")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/ui/certificates"))
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/ui/certificates/[0-9a-f]+$"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")


def test_the_keyboard_alone_tags_two_and_hands_them_over(first: Person) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    page = first.open("/ui/certificates?q=san:*.shop.test status:valid")
    for row in (0, 1):
        page.locator("tr[data-row] input").nth(row).focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Tag or hand over").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Tags to set").focus()
    assert violations(page, axe) == []
    page.keyboard.type("env=prod, seen by=<b>me</b>")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("'seen by=<b>me</b>' is no tag")
    page.get_by_label("Tags to set").focus()  # the choice and what was typed are still there
    page.keyboard.press("Control+a")
    page.keyboard.type("env=prod, seen=<b>me</b>, round=2")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=tag"))
    expect(page.locator("tr[data-row]")).to_have_count(2)
    expect(page.locator("tr[data-row] small").first).to_have_text("env=prodround=2+1")
    assert violations(page, axe) == []
    page.locator("tr[data-row] a").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="seen=<b>me</b>")).to_be_visible()
    page.get_by_label("To the team").focus()
    page.keyboard.type("night crew")
    page.keyboard.press("Enter")
    expect(page.locator("ol.timeline").last).to_contain_text("shop team → night crew")
    assert violations(page, axe) == []
    first.trouble.clear()  # the console tells of the refusal


def test_the_keyboard_alone_saves_a_view_and_follows_it(first: Person) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    page = first.open("/ui/certificates")
    page.get_by_label("Query").fill("san:*.pay.test order:expiry")
    page.wait_for_url(re.compile("q=san"))  # the offer below keeps what was typed, not what the page came with
    page.get_by_role("link", name="Save it as a view").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type("Pay, ending first")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.type("shop")  # chooses in the list of his teams
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/ui/certificates"))
    page = first.open("/ui/certificates")
    page.get_by_role("navigation", name="Saved views").get_by_role("link", name="Pay, ending first").focus()
    assert violations(page, axe) == []
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("q=san"))
    page.get_by_role("link", name="Change …").focus()
    page.keyboard.press("Enter")
    page.get_by_label("Name of Pay, ending first").wait_for()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Delete Pay, ending first").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Delete Pay, ending first")).to_have_count(0)
    assert not first.trouble


def test_issue_from_a_pasted_csr(first: Person) -> None:
    page = first.open("/ui/issue")
    page.get_by_label("CSR (PEM), pasted").fill(pem(csr("pasted.shop.test")))
    page.get_by_label("Owner").select_option("shop team")
    page.get_by_role("button", name="Would it pass?").click()
    expect(page.get_by_text("every name is permitted")).to_be_visible()
    page.get_by_role("button", name="Issue it").click()
    page.wait_for_url(re.compile("/ui/certificates/[0-9a-f]+$"))
    with page.expect_download() as chain:
        page.get_by_role("button", name="Chain").click()
    text = Path(chain.value.path()).read_text()
    assert text.count("BEGIN CERTIFICATE") == 2


def test_the_journal_is_verified(first: Person) -> None:
    page = first.open("/ui/audit")
    page.get_by_role("button", name="Verify it now").click()
    expect(page.get_by_text(re.compile(r"Whole: \d+ entries"))).to_be_visible()


def test_a_second_person_approves(made: Demo, browser: Browser, first: Person) -> None:
    link = made.run("user", "invite", "otto", "--role", "security-officer", "--quiet", "--yes")
    second = come_by_link(browser, link)
    page = first.open("/ui/people")
    page.get_by_label("Name", exact=True).fill("nora")
    page.get_by_label("auditor").check()
    page.get_by_role("button", name="Propose it").click()
    expect(page.get_by_text("It waits for somebody else")).to_be_visible()
    other = second.open("/ui/")
    other.get_by_role("link", name="Let in nora").click()
    other.get_by_role("button", name="Approve with a passkey").click()
    expect(other.get_by_text("nora may sign in")).to_be_visible()
    assert "nora" in made.run("user", "list")
    page = first.open("/ui/people")
    page.get_by_label("Name", exact=True).fill("otto")
    page.get_by_label("administrator").check()
    page.get_by_role("button", name="Propose it").click()
    other.goto(page.url)
    other.get_by_role("button", name="Approve with a passkey").click()
    expect(other.get_by_text("Nobody approves his own proposal, or his own roles.")).to_be_visible()
    page.get_by_role("button", name="Take it back").click()
    second.context.close()


def test_two_people_revoke_two_hundred(made: Demo, browser: Browser, first: Person) -> None:
    """One proposes what a query finds, the other approves by a passkey; clients see the last of them revoked."""
    fill_zone(made.configuration, "build.test", 200)
    second = come_by_link(browser, made.run("user", "invite", "rita", "--role", "security-officer", "--quiet", "--yes"))
    page = first.open("/ui/revocations/new?q=san:*.build.test")
    expect(page.get_by_role("heading", name="200 certificates, among them")).to_be_visible()
    page.get_by_label("Reason").select_option("keyCompromise")
    page.get_by_label("Comment").fill("the build host was broken into")
    page.get_by_label("Type how many: 200").fill("200")
    page.get_by_role("button", name="Propose to revoke them for ever").click()
    expect(page.get_by_text("It waits for somebody else")).to_be_visible()
    other = second.open("/ui/approvals")
    other.locator("tr[data-row] a").first.click()
    other.get_by_role("button", name="Approve with a passkey").click()
    expect(other.get_by_text("done", exact=True)).to_be_visible()
    seen = second.open("/ui/revocations")
    until(lambda: seen.get_by_text("200 of 200").count(), seen.reload)
    page = first.open("/ui/certificates?q=san:host-199.build.test")
    page.locator("tr[data-row] a").first.click()
    says = page.get_by_text(re.compile("revoked( for keyCompromise)? at"))
    until(lambda: says.count() == 2, page.get_by_role("button", name="Check now").click)
    assert not first.trouble
    assert not second.trouble
    second.context.close()


def until(seen: Callable[[], object], again: Callable[[], object]) -> None:
    """Does it again until that is seen."""
    end = time.monotonic() + 60
    while not seen():
        assert time.monotonic() < end, "it was not seen"
        again()
        time.sleep(0.5)


def test_an_orders_failure_is_read_and_mended(first: Person, made: Demo, tmp_path: Path) -> None:
    """The answer lies in the wrong folder: the page says what was fetched from where, and what came instead."""
    service = world.Demo(made.folder, int(first.base.rpartition(":")[2]), 0, "")
    client, request = library.new_account(service), pem(csr("walk.localhost")).encode()
    (tmp_path / "elsewhere").mkdir()
    with world.challenge_port(), world.webroot(tmp_path / "www") as wellknown:
        with pytest.raises(errors.ValidationError):
            library.obtain(client, request, tmp_path / "elsewhere")
        page = first.open("/ui/acme")
        page.get_by_role("link", name="walk.localhost").first.click()
        expect(page.locator("main")).to_contain_text(re.compile("404.*http-01|http-01.*404", re.DOTALL))
        assert library.obtain(client, request, wellknown)
    page = first.open("/ui/acme")
    expect(page.locator("tr[data-row]").first).to_contain_text(re.compile("valid.*walk.localhost", re.DOTALL))
    assert not first.trouble


def test_a_key_made_in_the_browser_leaves_it_in_a_sealed_file_alone(made: Demo, first: Person, tmp_path: Path) -> None:
    """The file is opened by the library and by OpenSSL; what the browser sent is looked through for the key."""
    names = ["laptop.localhost", "10.1.2.3"]
    sent: list[str] = []
    first.page.on("request", lambda request: sent.append(request.post_data or ""))
    page = first.open("/ui/issue/here")
    page.get_by_label("Names").fill("\n".join(names))
    page.get_by_label("Profile").select_option("server")
    page.get_by_role("button", name="Make the key").click()
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save the PKCS #12 file").click()
    passphrase = page.locator("#passphrase").inner_text()
    assert saved.value.suggested_filename == "laptop.localhost.p12"
    saved.value.save_as(tmp_path / "made.p12")

    opened = pkcs12.load_pkcs12((tmp_path / "made.p12").read_bytes(), passphrase.encode())
    assert isinstance(opened.key, ec.EllipticCurvePrivateKey)
    assert opened.cert
    leaf = opened.cert.certificate
    assert leaf.public_key() == opened.key.public_key()
    assert [
        str(one.value) for one in leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    ] == names
    leaf.verify_directly_issued_by(opened.additional_certs[0].certificate)
    command = ["openssl", "pkcs12", "-in", str(tmp_path / "made.p12"), "-passin", f"pass:{passphrase}", "-noenc"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "BEGIN PRIVATE KEY" in told
    assert "friendlyName: laptop.localhost" in told

    secret = opened.key.private_numbers().private_value.to_bytes(32)
    everything = unquote_to_bytes("\n".join(sent).replace("+", " "))
    assert b"BEGIN CERTIFICATE REQUEST" in everything
    for trace in (secret, base64.b64encode(secret)[:40], secret.hex().encode(), passphrase.encode()):
        assert trace not in everything
    page.get_by_role("link", name="The certificate's page").click()
    expect(page.locator("main")).to_contain_text("laptop.localhost")
    assert not first.trouble


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("ok.localhost bad..localhost", "bad..localhost"),
        ("www.google.example", "www.google.example"),
        ("fd00::zz", "fd00::zz is no IP address"),
        ("fd00::0001:0.2.0.3", "fd00::1:2:3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        ("spiffe://elsewhere.example/ann", "spiffe://elsewhere.example/ann"),
    ],
)
def test_where_no_certificate_comes_for_the_browsers_key_it_says_why(first: Person, names: str, said: str) -> None:
    page = first.open("/ui/issue/here")
    page.get_by_label("Names").fill(names)
    page.get_by_role("button", name="Make the key").click()
    expect(page.get_by_role("alert")).to_contain_text(said)
    expect(page.get_by_role("button", name="Make the key")).to_be_enabled()
    assert page.get_by_label("Names").input_value() == names
    assert all("a status of 40" in line for line in first.trouble)  # the console tells of refusals
    first.trouble.clear()


def test_no_screen_breaks_a_rule_of_accessibility_or_of_the_content_policy(
    made: Demo, browser: Browser, first: Person
) -> None:
    axe = (files("axe_playwright_python") / "axe.min.js").read_text()
    found: dict[str, list[str]] = {}
    for theme, rules in (("light", ()), ("dark", ("color-contrast",))):
        first.page.emulate_media(color_scheme=theme)
        for name in walk(first.page, first.base):
            found[f"{name}, {theme}"] = violations(first.page, axe, *rules)
    assert len(found) > 1.7 * len(SCREENS)
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert not first.trouble


def test_pages_read_without_javascript(made: Demo, browser: Browser, first: Person) -> None:
    context = browser.new_context(ignore_https_errors=True, java_script_enabled=False)
    context.add_cookies(first.context.cookies())
    page = context.new_page()
    for path in ("/ui/", "/ui/certificates?q=status:valid", "/ui/audit", "/ui/connect"):
        page.goto(first.base + path)
        assert page.locator("main").inner_text()
    page.goto(f"{first.base}/ui/certificates")
    page.get_by_label("Query").fill("san:*.pay.test")
    page.get_by_role("button", name="Find").click()
    page.wait_for_url(re.compile("q=san"))
    context.close()


def test_a_first_load_is_light(first: Person, browser: Browser) -> None:
    """In octets on the wire, with an empty cache: styles, scripts and page together."""
    context = browser.new_context(ignore_https_errors=True)
    context.add_cookies(first.context.cookies())
    page = context.new_page()
    session = context.new_cdp_session(page)
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    session.send("Network.enable")
    for path, most in (("/ui/", 100_000), ("/ui/certificates", 60_000)):
        sizes.clear()
        page.goto(first.base + path)
        page.wait_for_load_state("networkidle")
        assert 0 < sum(sizes) < most, path
    context.close()


def test_what_the_demo_writes_is_for_its_user_alone(made: Demo) -> None:
    done = subprocess.run(["stat", "-c", "%a", made.folder / "first-login"], capture_output=True, text=True)
    assert done.stdout.strip() == "600"
