"""kill -9 at random under eight clients: what they were told holds on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Cluster, cluster
from tests.crash.service import service
from tests.crash.storm import Plan, storm
from tests.interop.world import webroot
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Cluster | None]:
    """None for SQLite, else a PostgreSQL of this test's own, which is killed too."""
    if request.param == "sqlite":
        yield None
        return
    with cluster() as made:
        yield made


def test_nothing_that_was_told_is_lost_unaudited_doubled_or_unrevoked(database: Cluster | None, tmp_path: Path) -> None:
    port = free_port()
    with webroot(tmp_path / "www", port) as shown, service(tmp_path / "ca", port, database) as running:
        outcome = storm(running, Plan(seconds=20, pause=0.7), shown)
        assert running.stop() == 0
    assert outcome.killed.keys() == set(running.victims)
    assert outcome.seen["certificates"] >= 25
