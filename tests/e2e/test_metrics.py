"""What the demo's processes show to Prometheus."""

import json

import pytest
import requests

from tests.e2e.conftest import Demo

pytestmark = pytest.mark.timeout(240)


def scrape(url: str) -> str:
    return requests.get(f"{url}/metrics", timeout=20).text


def test_the_workers_show_their_sign_ins_and_the_web_server_how_far_flows_are_behind(
    demo: Demo,
) -> None:
    ports = json.loads((demo.state / "ports.json").read_text())
    streams = scrape(f"http://localhost:{ports['worker-streams-metrics']}")
    for connection in ("source", "destination"):
        labels = f'connection="{connection}",reason="",result="success"'
        assert f"replicator_mongo_auth_attempts_total{{{labels}}}" in streams
    assert "replicator_mongo_token_expires_in_seconds{" in streams
    segments = scrape(f"http://localhost:{ports['worker-segments-metrics']}")
    assert "replicator_mongo_token_requests_total{" in segments
    assert "replicator_flow_lag_seconds{" in scrape(demo.url)
