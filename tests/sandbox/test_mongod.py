"""The embedded MongoDB is started safely, and says when it is ready."""

import socket
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient

from sandbox.mongod import ServerNotInstalled, answers_ping, secantusd_command


def test_the_command_is_durable_on_loopback_and_without_failpoints(tmp_path: Path) -> None:
    command = secantusd_command(port=27017, storage=tmp_path)
    assert "--sync-on-commit" in command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert Path(command[command.index("--config") + 1]).is_file()
    assert "--enable-test-commands" not in command
    assert "--enable-test-commands" in secantusd_command(
        port=27017, storage=tmp_path, failpoints=True
    )


def test_an_environment_without_the_server_is_told_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(ServerNotInstalled, match=r"requirements-sandbox\.txt"):
        secantusd_command(port=27017, storage=tmp_path)


def test_nothing_and_a_mute_listener_are_not_ready() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert not answers_ping(port, timeout=0.05)
    assert not answers_ping(port, timeout=0.05)


def test_the_server_of_the_tests_stores_and_finds(mongo_server: str) -> None:
    with MongoClient[dict[str, object]](mongo_server) as client:
        client["mongod_test"]["a"].insert_one({"_id": 1})
        assert client["mongod_test"]["a"].find_one() == {"_id": 1}
        assert answers_ping(client.address[1] if client.address else 0)
