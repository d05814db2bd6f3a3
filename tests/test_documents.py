"""What the documents name exists: files, links, tasks, settings, and the flags of commands."""

import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.core.management.base import CommandError

from finops.management.commands.test_auth import Command

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *(ROOT / "README.md", ROOT / "llms.txt", ROOT / "examples/README.md"),
    *(ROOT / "docs" / name for name in ("requirements.md", "quickstart-azure.md")),
    ROOT / "docs/migrate-from-connection-strings.md",
]
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        found = document if not path else (document.parent / path).resolve()
        assert found.exists(), target
        if anchor:
            assert anchor in set(_anchors(found)), target


def _anchors(document: Path) -> Iterator[str]:
    for title in re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_files_that_answer_a_requirement_exist() -> None:
    text = (ROOT / "docs/requirements.md").read_text()
    named = re.findall(r"`((?:tests|replication|finops|benchmarks|examples)/[\w/.]*)`", text)
    assert len(set(named)) > 30
    assert [name for name in set(named) if not (ROOT / name).exists()] == []


def test_every_task_is_answered_once() -> None:
    rows = re.findall(r"^\| (T\d{3}) ", (ROOT / "docs/requirements.md").read_text(), re.MULTILINE)
    assert rows == [f"T{number:03}" for number in range(1, 33)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=NAMES)
def test_commands_are_understood(document: Path) -> None:
    parser = Command().create_parser("manage.py", "test_auth")
    for command in re.findall(r"^ *manage\.py test_auth(.*)$", document.read_text(), re.MULTILINE):
        try:
            parser.parse_args(shlex.split(command, comments=True))
        except (CommandError, SystemExit) as error:
            raise AssertionError(f"{document.name}: {command}") from error


@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.env")), ids=lambda p: p.name)
def test_examples_set_what_is_read(example: Path) -> None:
    settings = (ROOT / "finops/settings.py").read_text()
    lines = [line for line in example.read_text().splitlines() if line and line[0] != "#"]
    for name, _, value in (line.partition("=") for line in lines):
        assert value
        assert f'"{name}"' in settings or name.startswith("MONGO_SECRET_"), name


def test_the_unit_names_what_exists() -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.read(ROOT / "examples/managed-identity.service")
    assert "manage.py test_auth" in unit["Service"]["ExecStartPre"]
    assert unit["Install"]["WantedBy"] == "multi-user.target"


def test_the_pods_use_the_account_that_carries_the_identity() -> None:
    text = (ROOT / "examples/workload-identity.yaml").read_text()
    account, deployment = yaml.safe_load_all(text)
    pod = deployment["spec"]["template"]
    assert pod["metadata"]["labels"]["azure.workload.identity/use"] == "true"
    assert pod["spec"]["serviceAccountName"] == account["metadata"]["name"]
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        values = {entry["name"]: entry["value"] for entry in container["env"]}
        assert values["MONGO_ENTRA_CREDENTIAL"] == "workload_identity"
