"""Objects over HTTP: each item is PUT below a URL, with a bearer token, or signed as S3 wants it.

Redirects are not followed, a wait is bounded, and of what is answered no more is read than an error needs.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import urllib3

from ca.clock import Clock
from ca.errors import Unavailable
from ca.secretfile import word
from ca.targets.items import Item
from ca.targets.sigv4 import Credentials, signed

SECONDS = 30.0
"""The longest wait: for a connection, for a body to be taken, for an answer."""

_ABREAST = 8
_MOST = 4096
Authorize = Callable[[str, Mapping[str, str], bytes], Mapping[str, str]]
"""The headers of a PUT by its path, its headers and its body."""


class Web:
    """A web server or bucket that takes PUT. `ca_file` holds the roots that vouch for it, in place of the system's."""

    def __init__(self, url: str, ca_file: Path | None, authorize: Callable[[], Authorize]) -> None:
        found = urlsplit(url)
        self._origin, self._path, self._host = f"{found.scheme}://{found.netloc}", found.path.rstrip("/"), found.netloc
        self._ca_file = ca_file
        self._authorize = authorize

    def holds(self, _since: int) -> bool:
        """What it has taken, it is believed to have."""
        return True

    def wanted(self) -> None:
        """Everything."""

    def send(self, items: Sequence[Item]) -> None:
        """PUTs them, several at a time; secrets are read anew. Raises `Unavailable` for the first that is refused."""
        if not items:
            return
        put = partial(self._put, self._pool(), self._authorize())
        put(items[0])  # one that does not answer is waited for once
        threads = ThreadPoolExecutor(_ABREAST)
        try:
            for _ in threads.map(put, items[1:]):
                pass
        finally:
            threads.shutdown(cancel_futures=True)

    def _pool(self) -> urllib3.PoolManager:
        trust = str(self._ca_file) if self._ca_file else None
        return urllib3.PoolManager(maxsize=_ABREAST, timeout=SECONDS, retries=False, ca_certs=trust)

    def _put(self, pool: urllib3.PoolManager, authorize: Authorize, item: Item) -> None:
        path = f"{self._path}/{quote(item.path)}"
        headers = authorize(path, {**item.headers, "Host": self._host}, item.body)
        try:
            reply = pool.request(
                "PUT", self._origin + path, body=item.body, headers=headers, redirect=False, preload_content=False
            )
            said = reply.read(_MOST)
            reply.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _refused(self._origin + path, f"{type(error).__name__}: {error}") from None
        if reply.status not in (200, 201, 204):
            raise _refused(self._origin + path, f"status {reply.status}{_code(said)}")


def _refused(url: str, why: str) -> Unavailable:
    # What a stranger wrote is shown, and never obeyed by the reader's terminal.
    return Unavailable(
        f"PUT {url} failed: {ascii(why)[1:-1][:300]}.",
        next_step="Check the target's url and secret; redirects are not followed.",
    )


def _code(said: bytes) -> str:
    """S3's own word for what is wrong."""
    found = re.search(rb"<Code>(\w{1,64})</Code>", said)
    return f" {found[1].decode()}" if found else ""


# --- who may -------------------------------------------------------------------------------------


def bearer(token_file: Path | None) -> Authorize:
    """With the token in a file (RFC 6750); without a file, as anybody. Raises `Unavailable`."""
    token = {"Authorization": f"Bearer {word(token_file)}"} if token_file else {}
    return lambda _path, headers, _body: {**headers, **token}


def s3(access_key: str, secret_file: Path, region: str, clock: Clock) -> Authorize:
    """Signed with a key of the bucket's owner, whose secret is in a file. Raises `Unavailable`."""
    credentials = Credentials(access_key, word(secret_file), region)
    return lambda path, headers, body: signed(credentials, path, headers, body, clock())
