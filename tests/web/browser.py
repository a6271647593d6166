"""Debian's Chromium in front of a running demo: for the walks through the UI, and for the pictures of it."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.ports import free_port

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
SIZE = {"width": 1280, "height": 800}


@dataclass(frozen=True)
class Demo:
    """A demo that runs."""

    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "certwright.toml"

    def run(self, *words: str) -> str:
        """What a command over this demo says."""
        command = [sys.executable, "-m", "cli.main", *words, "--config", str(self.configuration)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def demo(folder: Path, **more: str) -> Iterator[Demo]:
    """A new demo in that folder, with `more` in its environment, ready; stopped at the end."""
    command = [sys.executable, "-m", "cli.main", "demo", "--dir", str(folder), "--quiet"]
    ports = ["--https-port", str(free_port()), "--http-port", str(free_port())]
    module = os.environ.get("CERTWRIGHT_PKCS11_MODULE", "/usr/lib/softhsm/libsofthsm2.so")
    environment = {**os.environ, "CERTWRIGHT_PKCS11_MODULE": module, **more}
    subprocess.run([*command, *ports, "--detach"], check=True, env=environment)
    try:
        yield Demo(folder)
    finally:
        subprocess.run([*command, "--stop"], check=True, env=environment)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Person:
    """One window of one person, with a passkey in a virtual authenticator. `trouble` is what the console said."""

    context: BrowserContext
    page: Page
    base: str
    trouble: list[str]

    def open(self, path: str) -> Page:
        """Another page of the UI."""
        self.page.goto(self.base + path)
        return self.page


def come_by_link(browser: Browser, link: str, theme: str = "light", scale: float = 1) -> Person:
    """Somebody who came by a one-time link and has enrolled a passkey."""
    looks = {"color_scheme": theme, "viewport": SIZE, "device_scale_factor": scale}
    context = browser.new_context(ignore_https_errors=True, **looks)
    page = context.new_page()
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    hold_passkey(context, page)
    page.goto(link)
    page.wait_for_url(re.compile(r"/ui/(enrol)?$"))
    if page.url.endswith("/enrol"):
        page.get_by_role("button", name="Make a passkey").click()
        page.wait_for_url(re.compile(r"/ui/$"))
    return Person(context, page, page.url.removesuffix("/ui/"), trouble)


def hold_passkey(context: BrowserContext, page: Page) -> None:
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


def violations(page: Page, axe: str, *rules: str) -> list[str]:
    """What axe-core finds on the page, a line each, by these rules or by all. `axe` is its source."""
    page.evaluate(axe)
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run(document, options)", options)
    return [f"{one['id']}: {one['help']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]
