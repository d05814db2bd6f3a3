"""Builders in processes of their own: killed half way, and several at once."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    made = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'finops.sqlite3'}",
        "VAR_DIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "finops.settings",
    }
    run(made, "prepare")
    return made


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.finops.builder_process", *arguments]


def run(environment: dict[str, str], *arguments: str) -> None:
    subprocess.run(command(*arguments), env=environment, cwd=ROOT, check=True, timeout=60)


def manifest(tmp_path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(tmp_path / "finops.sqlite3")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def published(tmp_path: Path) -> list[tuple[object, ...]]:
    return manifest(
        tmp_path,
        "SELECT version, rows, json_extract(totals, '$.EUR.billed.sum') FROM finops_segment",
    )


def test_a_builder_killed_between_writing_and_publishing_leaves_the_old_day_whole(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    before = published(tmp_path)
    process = subprocess.Popen(
        command("stuck"), env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
    assert published(tmp_path) == before
    # What it wrote is known, and counts as retired: the next sweep after the grace removes it.
    names = manifest(tmp_path, "SELECT name FROM finops_segmentfile WHERE retired_at IS NOT NULL")
    assert len(names) == 2
    assert all((tmp_path / "segments" / str(name)).is_file() for (name,) in names)
    # And the next builder is not hindered by it.
    run(environment, "many", "1")
    assert published(tmp_path)[0][0] == 2


def test_builders_at_once_publish_what_the_documents_say_last(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    processes = [
        subprocess.Popen(command("many", "8"), env=environment, cwd=ROOT) for _ in range(2)
    ]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    ((version, rows, billed),) = published(tmp_path)
    assert (rows, float(str(billed))) == (16, 16.0)
    ((dataset_version,),) = manifest(tmp_path, "SELECT version FROM finops_dataset")
    assert dataset_version == version
