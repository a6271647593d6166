"""Publication: the row is the durable thing, the file is what relying parties fetch.

The row is written in the transaction of the deed; the file follows after the commit, so nothing is ever
served that could still be rolled back. `feed` brings a folder up to date with the rows, on this node and others.
"""

from dataclasses import dataclass, replace

import structlog

from ca.errors import Unavailable
from ca.folder import Folder
from ca.records import Publication
from ca.store import Store

_BATCH = 32


@dataclass(frozen=True)
class Publisher:
    """Puts signed bytes where relying parties fetch them."""

    store: Store
    folder: Folder

    def put(self, publication: Publication) -> None:
        """Publishes it: the row in the open transaction (or its own), the file after its commit.

        Raises `StalePublication` unless version and fencing token are above what is stored; then nothing
        changed. A file that cannot be written is logged and left to `feed`: the publication stands.
        """
        with self.store.transaction():
            stored = replace(publication, seq=self.store.put(publication))
            self.store.after_commit(lambda: self._write(stored))

    def get(self, path: str) -> Publication:
        """What is published at a path, by its row. Raises `NotFound`."""
        return self.store.get(path)

    def is_out(self, path: str) -> bool:
        """Whether this node's folder has what the row says; a folder that took no file is fed later."""
        there = self.folder.get(path)
        return there is not None and there.version >= self.get(path).version

    def _write(self, stored: Publication) -> None:
        try:
            self.folder.apply(stored)
        except Unavailable as error:
            structlog.get_logger().error("publication.unwritten", path=stored.path, reason=str(error))


def feed(store: Store, folder: Folder) -> int:
    """Applies the rows that the folder does not know yet, in order; answers how many files changed.

    Safe beside publishers and other feeders. A database that was set back to before the folder's mark is
    read from its beginning. Raises `Unavailable` when the disk refuses; the next call goes on where it stopped.
    """
    seq = folder.fed
    if seq > store.last_seq():
        seq = 0
    changed = 0
    while rows := store.after(seq, _BATCH):
        changed += sum(map(folder.apply, rows))
        seq = rows[-1].seq
        folder.fed = seq
    return changed
