"""Metrics: documented and existing are the same; the exposition works without database and HSM."""

import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from ca.config import Config
from ca.errors import ConfigError
from scheduler import metrics as of_scheduler
from tests.conftest import OwnClock
from tests.ports import free_port
from tests.web.plane import ROOT, Plane, configure
from web import counters, metrics
from web.status import DOORS, NO_DOOR, Outcome

ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w, ]*)\|", re.MULTILINE)


def documented() -> dict[str, tuple[str, set[str]]]:
    rows = ROW.findall((ROOT / "docs/metrics.md").read_text())
    return {name: (kind, set(labels.strip().split(", ")) - {""}) for name, kind, labels in rows}


def name_of(metric: Metric) -> str:
    return metric.name + "_total" if metric.type == "counter" else metric.name


def existing() -> dict[str, tuple[str, set[str]]]:
    """By their definitions: a labelled metric has no samples before its first use."""
    from flask import Flask

    app = Flask("x")
    metrics.observe(app)
    values = [*vars(counters).values(), *vars(of_scheduler).values()]
    made = [value for value in values if hasattr(value, "_labelnames")]
    made += app.extensions["certwright_requests"]._collector_to_names
    found = {name_of(one.describe()[0]): (one._type, set(one._labelnames)) for one in made}
    found["flask_exporter_info"] = ("gauge", {"version"})
    for one in metrics.Observed(Config()).collect():
        found[name_of(one)] = (one.type, set(one._labelnames))  # type: ignore[attr-defined]
    return found


def test_every_metric_is_documented_and_every_documented_metric_exists() -> None:
    assert existing() == documented()


def test_the_doors_and_results_of_the_status_plane_are_documented() -> None:
    text = (ROOT / "docs/metrics.md").read_text()
    doors, results = (re.search(rf"{name}: ([^.]*)\.", text) for name in ("Doors", "Results"))
    assert doors is not None
    assert results is not None
    assert doors[1].split(", ") == [door.name for door in (*DOORS, NO_DOOR)]
    assert tuple(re.split(r",\s", results[1])) == get_args(Outcome)


def test_freshness_is_measured_on_the_published_bytes(plane: Plane, tmp_path: Path, clock: OwnClock) -> None:
    """INC-03."""
    config = configure(tmp_path)
    plane.publish_crl()
    body, kind = metrics.exposition(config, "")
    assert kind.startswith("text/plain")
    line = f'certwright_crl_next_update_seconds{{crl="0000",issuer="issuing-g1"}} {plane.now + 7 * 86400:e}'
    values = dict(one.rsplit(" ", 1) for one in body.decode().splitlines() if one.startswith("certwright_crl"))
    assert float(values[line.rsplit(" ", 1)[0]]) == plane.now + 7 * 86400


def test_the_exposition_does_not_need_anything_to_be_there(tmp_path: Path) -> None:
    body, kind = metrics.exposition(configure(tmp_path), "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    close = metrics.listen(configure(tmp_path, metrics_listen=address))
    yield address
    close()


def test_the_plain_listener_serves_metrics_and_nothing_else(listening: str) -> None:
    with urllib.request.urlopen(f"http://{listening}/metrics", timeout=5) as answer:
        assert b"certwright_publication_seq" in answer.read()
    for path in ("/", "/health", "/metrics/x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{listening}{path}", timeout=5)


def test_the_second_process_of_a_node_leaves_the_address_to_the_first(listening: str, tmp_path: Path) -> None:
    metrics.listen(configure(tmp_path, metrics_listen=listening))()
    with urllib.request.urlopen(f"http://{listening}/metrics", timeout=5) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("address", ["0.0.0.0:9", "192.0.2.1:9", "example.test:9"])
def test_the_plain_listener_is_loopback_only(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match="not loopback"):
        metrics.listen(configure(tmp_path, metrics_listen=address))


def test_no_address_means_no_listener(tmp_path: Path) -> None:
    metrics.listen(configure(tmp_path))()


def test_a_client_that_says_nothing_does_not_hold_the_listener(listening: str) -> None:
    host, _, port = listening.rpartition(":")
    with (
        socket.create_connection((host, int(port))),
        urllib.request.urlopen(f"http://{listening}/metrics", timeout=5) as answer,
    ):
        assert answer.status == 200


def test_registries_of_two_apps_do_not_clash() -> None:
    from flask import Flask

    for name in ("one", "two"):
        metrics.observe(Flask(name))
    assert isinstance(metrics.registry(Config()), CollectorRegistry)
