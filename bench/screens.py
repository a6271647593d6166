"""Pictures of every screen in both themes, and axe-core's judgement on each, from a demo with something in it.

    .certwright/venv/bin/python -m bench.screens --out docs/images        # small PNGs for docs/ui.md
    .certwright/venv/bin/python -m bench.screens --out /tmp/screens --axe node_modules/axe-core/axe.min.js

Starts a demo of its own in a temporary folder, and Debian's Chromium.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.ports import free_port

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--force-color-profile=srgb",
]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
WIDTH, HEIGHT = 1280, 800

SCREENS = {
    "home": "/ui/",
    "certificates": "/ui/certificates",
    "certificate": "",  # the first of the list
    "audit": "/ui/audit",
    "account": "/ui/account",
    "enrol": "/ui/enrol",
    "confirm": "/ui/confirm",
}
"""Every screen that a person who is signed in sees."""


@contextmanager
def demo() -> Iterator[Path]:
    """A demo with more than its samples; answers its folder."""
    with tempfile.TemporaryDirectory(prefix="cw-screens-") as name:
        folder = Path(name) / "demo"
        command = [sys.executable, "-m", "cli.main", "demo", "--dir", str(folder), "--quiet"]
        ports = ["--https-port", str(free_port()), "--http-port", str(free_port())]
        subprocess.run([*command, *ports, "--detach"], check=True)
        try:
            fill(folder)
            yield folder
        finally:
            subprocess.run([*command, "--stop"], check=True)


def fill(folder: Path) -> None:
    """Certificates that end on many days, for several teams; some revoked, some refused."""
    from bench.screens_data import fill as fill_with

    fill_with(folder / "certwright.toml")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def signed_in(browser: Browser, folder: Path, theme: str) -> tuple[BrowserContext, Page, str]:
    """A window of somebody who came by the demo's link and enrolled a passkey; and the UI's address."""
    link = subprocess.run(
        [sys.executable, "-m", "cli.main", "user", "link", "--quiet", "--config", str(folder / "certwright.toml")],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    context = browser.new_context(
        ignore_https_errors=True, color_scheme=theme, viewport={"width": WIDTH, "height": HEIGHT}
    )
    page = context.new_page()
    virtual_authenticator(context, page)
    page.goto(link)
    page.wait_for_url(re.compile(r"/ui/(enrol)?$"))
    if page.url.endswith("/enrol"):
        page.get_by_role("button", name="Make a passkey").click()
        page.wait_for_url(re.compile(r"/ui/$"))
    return context, page, page.url.removesuffix("/ui/")


def virtual_authenticator(context: BrowserContext, page: Page) -> None:
    """A passkey's holder for this window, by the DevTools protocol."""
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def walk(page: Page, base: str) -> Iterator[str]:
    """Opens each screen in turn and answers its name."""
    for name, path in SCREENS.items():
        page.goto(f"{base}{path or '/ui/certificates'}")
        if not path:
            page.locator("tr[data-row] a").first.click()
        page.wait_for_load_state("networkidle")
        yield name


def violations(page: Page, axe: Path) -> list[str]:
    """What axe-core finds on the page, a line each."""
    page.evaluate(axe.read_text())
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--axe", type=Path, help="axe.min.js, to judge each screen by")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    with demo() as folder, chromium() as browser:
        for theme in ("light", "dark"):
            context, page, base = signed_in(browser, folder, theme)
            for name in walk(page, base):
                page.screenshot(path=chosen.out / f"{name}-{theme}.png")
                if chosen.axe:
                    found[f"{name}-{theme}"] = violations(page, chosen.axe)
            context.close()
    print(json.dumps(found, indent=1))
    sys.exit(any(found.values()))


if __name__ == "__main__":
    os.environ.setdefault("CERTWRIGHT_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
    main()
