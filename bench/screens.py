"""Pictures of every screen in both themes, and axe-core's judgement on each, from a demo with something in it.

    .certwright/venv/bin/python -m bench.screens --out /tmp/screens        # whole
    .certwright/venv/bin/python -m bench.screens --out docs/images --small # for docs/ui.md

Starts a demo of its own in a temporary folder, and Debian's Chromium.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Page

from bench.screens_data import fill
from tests.web.browser import Demo, chromium, come_by_link, demo, violations

SCREENS = {
    "home": "/ui/",
    "certificates": "/ui/certificates",
    "certificate": "",  # the first of the list
    "views": "/ui/views?q=status:expiring",
    "revocations": "/ui/revocations",
    "revoke-many": "/ui/revocations/new?q=san:*.pay.test",
    "issue": "/ui/issue",
    "keymaker": "/ui/issue/here",
    "orders": "/ui/acme",
    "order": "",
    "accounts": "/ui/acme/accounts",
    "connect": "/ui/connect",
    "credentials": "/ui/credentials",
    "profiles": "/ui/profiles",
    "authorities": "/ui/authorities",
    "authority": "/ui/authorities/issuing-g1",
    "publication": "/ui/publication",
    "reports": "/ui/reports?by=profile&days=365",
    "jobs": "/ui/jobs",
    "notices": "/ui/notices",
    "audit": "/ui/audit",
    "approvals": "/ui/approvals",
    "proposal": "",
    "people": "/ui/people",
    "account": "/ui/account",
    "enrol": "/ui/enrol",
    "confirm": "/ui/confirm",
    "sign-in": "/ui/sign-in",
    "link": "/ui/link",
}
"""Every screen; without a path, the first that the list before it leads to."""

WAYS = {
    "CERTWRIGHT_UI__OIDC": '{"issuer": "https://id.example.test", "client_id": "ca", "roles": {"viewer": ["staff"]}}',
    "CERTWRIGHT_UI__CLIENT_CERTIFICATES": '{"listen": "127.0.0.1:0"}',
}
"""Every way to sign in stands on the page."""

SMALL = 0.6
"""Pixels of a picture in docs/ui.md for one of the screen."""

SHOWN = (
    *("home", "certificates", "certificate", "issue", "keymaker", "audit", "authorities", "proposal"),
    *("reports", "notices", "people", "revocations", "sign-in"),
)
"""Those that docs/ui.md shows."""


def walk(page: Page, base: str) -> Iterator[str]:
    """Opens each screen in turn and answers its name."""
    for name, path in SCREENS.items():
        if path:
            page.goto(base + path)
        elif page.locator("tr[data-row] a").count():
            page.locator("tr[data-row] a").first.click()
        else:
            continue
        page.wait_for_load_state("load")
        yield name


def prepare(made: Demo) -> None:
    """Certificates, people, a proposal and a verified journal."""
    fill(made.configuration)
    made.run("user", "invite", "bob", "--role", "security-officer", "--team", "pay team", "--yes")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--small", action="store_true", help="only those of docs/ui.md, small")
    options.add_argument("--axe", type=Path, help="axe.min.js, to judge each screen by")
    chosen = options.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="cw-screens-") as name, demo(Path(name) / "demo", **WAYS) as made:
        prepare(made)
        me = made.run("user", "list", "--json")
        first = next(one["name"] for one in json.loads(me) if one["name"] != "bob")
        with chromium() as browser:
            for theme in ("light", "dark"):
                link = made.run("user", "link", first, "--quiet")
                person = come_by_link(browser, link, theme, scale=SMALL if chosen.small else 1)
                propose(person.page, person.base, f"carol-{theme}")
                for screen in walk(person.page, person.base):
                    if chosen.small and screen not in SHOWN:
                        continue
                    picture = chosen.out / f"{screen}-{theme}.png"
                    person.page.screenshot(path=picture)
                    if chosen.axe:
                        found[f"{screen}-{theme}"] = violations(person.page, chosen.axe.read_text())
                print(*person.trouble, sep="\n", file=sys.stderr)
                person.context.close()
    print(json.dumps(found, indent=1))
    sys.exit(any(found.values()))


def propose(page: Page, base: str, name: str) -> None:
    """Something that waits for a second person."""
    page.goto(f"{base}/ui/people")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("operator").check()
    page.get_by_role("button", name="Propose it").click()
    page.wait_for_url("**/approvals/*")


if __name__ == "__main__":
    main()
