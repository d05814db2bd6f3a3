"""The numbers at /metrics: of all processes of a group, for those who may read them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, RequestFactory
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from finops.metrics import group_registry, may_read
from finops.metrics_folder import group_folder, networks
from tests.waiting import wait_until

NAMES = [
    "replicator_mongo_auth_attempts_total",
    "replicator_mongo_auth_duration_seconds",
    "replicator_mongo_reauth_total",
    "replicator_mongo_token_requests_total",
    "replicator_mongo_token_request_duration_seconds",
    "replicator_mongo_token_cache_hits_total",
    "replicator_mongo_token_cache_misses_total",
    "replicator_mongo_token_expires_in_seconds",
    "replicator_mongo_token_refresh_failures_total",
    "replicator_flow_lag_seconds",
    "replicator_flow_dead_letters",
    "replicator_flow_stuck",
    "replicator_snapshot_progress_ratio",
]


@pytest.mark.django_db
def test_every_promised_metric_is_shown(client: Client) -> None:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain")
    shown = response.content.decode()
    assert [name for name in NAMES if f"# TYPE {name} " not in shown] == []


@pytest.mark.parametrize(
    ("address", "headers", "proxies", "allowed"),
    [
        ("127.0.0.1", {}, 0, True),
        ("::1", {}, 0, True),
        ("::ffff:127.0.0.1", {}, 0, True),
        ("10.1.2.3", {}, 0, False),
        ("", {}, 0, False),
        # A proxy that nobody told us of stands on this machine, and passes anybody on.
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 0, False),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 0, False),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.7"}, 1, False),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1, 198.51.100.7"}, 1, False),
        ("10.0.0.9", {"X-Forwarded-For": "127.0.0.1"}, 1, True),
    ],
)
def test_loopback_alone_may_read_by_default(
    settings: Settings, address: str, headers: dict[str, str], proxies: int, allowed: bool
) -> None:
    settings.TRUSTED_PROXY_COUNT = proxies
    request = RequestFactory().get("/metrics", headers=headers, REMOTE_ADDR=address)
    assert may_read(request) is allowed


def test_networks_may_be_allowed(settings: Settings, client: Client) -> None:
    settings.METRICS_ALLOWED_NETWORKS = networks(["10.0.0.0/8 ", "2001:db8::/32"])
    for address, allowed in (("10.9.9.9", True), ("2001:db8::1", True), ("127.0.0.1", False)):
        assert may_read(RequestFactory().get("/", REMOTE_ADDR=address)) is allowed
    assert client.get("/metrics").status_code == 404


def test_a_network_that_is_none_names_the_setting() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"METRICS_ALLOWED_NETWORKS: .*office"):
        networks(["office"])
    assert networks(["127.0.0.0/8"]) == (ip_network("127.0.0.0/8"),)


CHILDREN = r"""
import os, sys, threading, time
import django
django.setup()
from replication import metrics
def count():
    for _ in range(20_000):
        metrics.count_cache_hit()
threads = [threading.Thread(target=count) for _ in range(2)]
for thread in threads:
    thread.start()
for number in range(2):
    if os.fork() == 0:
        for _ in range(10):
            metrics.count_cache_hit()
        metrics.note_token_expiry(scope="s", expires_at=4_000_000_000 + number)
        os.write(1, b"%d\n" % os.getpid())  # at once: print might write the parts of a line
        time.sleep(60)
for thread in threads:
    thread.join()
os.write(1, b"counted\n")
os.wait()
"""


@pytest.fixture
def group(tmp_path: Path, settings: Settings) -> Iterator[list[int]]:
    """A process that counts in threads and two children that do; the numbers of the children."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "finops.settings",
        "METRICS_DIR": str(tmp_path),
    }
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILDREN],
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    try:
        *children, counted = sorted(parent.stdout.readline() for _ in range(3))
        assert counted == b"counted\n"
        yield [int(child) for child in children]
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.stdout.close()
        parent.wait(timeout=10)


def samples() -> dict[str, float]:
    text = generate_latest(group_registry()).decode()
    return {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_processes_of_a_group_add_up_and_a_killed_one_keeps_its_counts(
    group: list[int], tmp_path: Path, settings: Settings
) -> None:
    (settings.METRICS_GROUP_DIR,) = tmp_path.iterdir()
    before = samples()
    assert before["replicator_mongo_token_cache_hits_total"] == 40_020
    expiry = "replicator_mongo_token_expiry_timestamp_seconds"
    earliest = before[expiry]
    assert earliest == 4_000_000_000
    os.kill(min(group), signal.SIGKILL)
    os.kill(max(group), signal.SIGKILL)
    wait_until(lambda: expiry not in samples(), what="the dead have no token any more")
    assert samples()["replicator_mongo_token_cache_hits_total"] == 40_020


def test_a_group_has_its_own_folder_and_the_ended_ones_are_removed(tmp_path: Path) -> None:
    mine = group_folder(tmp_path)
    prefix = mine.name.rpartition("-")[0]
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait(timeout=20)
    gone, foreign = tmp_path / f"{prefix}-{ended.pid}", tmp_path / "another-host-1"
    gone.mkdir()
    foreign.mkdir()
    assert group_folder(tmp_path) == mine
    assert set(tmp_path.iterdir()) == {mine, foreign}


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match="METRICS_DIR is"):
        group_folder(tmp_path / "file")
