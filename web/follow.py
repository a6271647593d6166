"""A status-only node follows the publications of another: `GET /api/v1/publications?after=SEQ`, applied in order.

It needs no database and no key: a URL, a bearer token, and the roots by which it knows the other's HTTPS door. What it
gets is signed, and the folder takes no older version than it has.
"""

import base64
import binascii
import json
import ssl
import threading
import time
import urllib.request
from http.client import HTTPException
from typing import Any

import structlog

from ca.clock import Clock, system_clock
from ca.config import Config
from ca.errors import CAError, Unavailable
from ca.folder import Folder
from ca.ocsp import KEPT
from ca.records import Publication

WAIT = 20
"""Seconds that the other side holds a question for which it has no news yet."""

TIDY_SECONDS = 6 * 3600.0
LIMIT = 200
LARGEST = 256 << 20
LONGEST_PAUSE = 30.0
_FIELDS = ("path", "version", "content_type", "this_update", "fresh_until", "fence", "seq")


class Follower:
    """Keeps a folder up to date from a thread of its own, beginning with `start`; `age` says how far it is behind."""

    def __init__(self, config: Config, folder: Folder, clock: Clock = system_clock) -> None:
        status = config.status
        self._url = f"{status.feed_url.rstrip('/')}/publications"
        self._token = config.path(status.feed_token_file) if status.feed_token_file else None
        self._roots = config.path(status.feed_roots) if status.feed_roots else None
        self._folder = folder
        self._clock = clock
        self._began = time.monotonic()
        self._well = 0.0
        self._tidy_at = 0.0
        self._said = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def start(self) -> None:
        """Begins to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the question that is under way."""
        self._stop.set()

    def age(self) -> float:
        """Seconds since all that was published is known to be here; since the start, before the first time."""
        return time.monotonic() - (self._well or self._began)

    def step(self, wait: int = WAIT) -> int:
        """Asks once, applies what came, and answers how many publications that were. Raises `Unavailable`."""
        page = self._ask(self._folder.fed, wait)
        try:
            items = [_publication(one) for one in page["items"]]
            after, last = int(page["after"]), int(page["last"])
        except (KeyError, TypeError, ValueError, binascii.Error) as error:
            raise Unavailable(f"{self._url} answers something else: {error}.") from None
        for one in items:
            self._folder.apply(one)
        # A database that was set back counts from below: everything is read again, and nothing older is taken.
        self._folder.fed = after if after <= last else 0
        if after == last:
            self._well = time.monotonic()
        return len(items)

    def tidy(self) -> None:
        """Now and then removes the answers that ended long ago: no news of them comes. Raises `Unavailable`."""
        if time.monotonic() >= self._tidy_at:
            self._folder.drop_ended("ocsp", self._clock() - KEPT)
            self._tidy_at = time.monotonic() + TIDY_SECONDS

    def _follow(self) -> None:
        pause = 1.0
        while not self._stop.is_set():
            try:
                self.tidy()
                self.step()
                pause, self._said = 1.0, ""
            except CAError as error:
                if error.detail != self._said:
                    self._said = error.detail
                    structlog.get_logger().error("publications.unreachable", reason=error.detail)
                self._stop.wait(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)

    def _ask(self, after: int, wait: int) -> dict[str, Any]:
        url = f"{self._url}?after={after}&limit={LIMIT}&wait={wait}"
        try:
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"} if self._token else {}
            asked = urllib.request.Request(url, headers=headers)  # noqa: S310 - a URL of the configuration
            with self._opener().open(asked, timeout=wait + 10) as reply:
                page = json.loads(reply.read(LARGEST))
        except (HTTPException, OSError, ValueError) as error:
            raise Unavailable(f"{self._url} cannot be read: {error}.") from None
        return page if isinstance(page, dict) else {}

    def _opener(self) -> urllib.request.OpenerDirector:
        """Made anew each time: roots may be exchanged while it runs."""
        context = ssl.create_default_context(cafile=str(self._roots) if self._roots else None)
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )


def _publication(item: dict[str, Any]) -> Publication:
    return Publication(body=base64.b64decode(item["body"], validate=True), **{name: item[name] for name in _FIELDS})
