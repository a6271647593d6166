"""A folder of plain files: what nginx serves as it lies there, and what load balancers staple."""

from collections.abc import Sequence
from pathlib import Path

from ca.errors import Unavailable
from ca.folder import boot, replaced
from ca.ocsp import unauthorized
from ca.targets.items import Item

_MARK = ".certwright"
_UNKNOWN = "unauthorized.der"
"""What a web server answers to an OCSP request that there is no file for."""

_FOR_ALL = 0o644


class PlainFolder:
    """Each item is a file by the path of its URL, replaced by a rename; everybody may read it, whatever the umask.

    One process at a time writes it.

    The base64 of an OCSP request may hold slashes: then it lies in folders, and two slashes in a row are one, as they
    are to a web server that looks for it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def holds(self, _since: int = 0) -> bool:
        """Whether it is as it was left: after a reboot files may be torn, since nothing is synced to the disk."""
        try:
            return (self.root / _MARK).read_text() == boot()
        except (OSError, UnicodeDecodeError):
            return False

    def wanted(self) -> None:
        """Everything."""

    def send(self, items: Sequence[Item]) -> None:
        """Writes what differs. Raises `Unavailable` when the disk refuses; then some may be written."""
        try:
            if not self.holds():
                self._replace(self.root / _UNKNOWN, unauthorized())
            for item in items:
                self._write(self.root / item.path, item.body)
            if not self.holds():
                replaced(self.root / _MARK, boot().encode())
        except OSError as error:
            raise Unavailable(
                f"{error.filename or self.root} cannot be written: {error.strerror}.",
                next_step="Check the folder's owner and mode, and the space on its disk.",
            ) from error

    def _write(self, file: Path, body: bytes) -> None:
        """Its time rises by a second at least with each content: web servers make ETag and Last-Modified of it."""
        try:
            if file.read_bytes() == body:
                return
            before = int(file.stat().st_mtime) + 1
        except FileNotFoundError:
            before = 0
        self._replace(file, body, before)

    def _replace(self, file: Path, body: bytes, after: int = 0) -> None:
        _make(file.parent)
        replaced(file, body, after, _FOR_ALL)


def _make(folder: Path) -> None:
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        folder.chmod(_FOR_ALL | 0o111)
