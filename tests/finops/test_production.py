"""Production refuses to start with what is unsafe, and names every setting at once."""

import os
import subprocess
import sys
from typing import Any

import pytest

from finops.production import production_problems

SAFE: dict[str, Any] = {
    "SANDBOX": False,
    "DEBUG": False,
    "SECRET_KEY": "k" * 50,
    "ALLOWED_HOSTS": ["costs.example.com"],
    "SITE_URL": "https://costs.example.com",
    "ENTRA_AUTHORITY_HOST": "https://login.microsoftonline.com",
    "GRAPH_URL": "https://graph.microsoft.com",
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com",
    "ENTRA_TENANT_ID": "3f2b7c1e-8d49-4b0a-9c35-1e6d7a8b9c01",
    "ENTRA_CLIENT_ID": "8c5d1f7a-2e4b-4d6c-a1f3-9b8e7d6c5a42",
    "ENTRA_CLIENT_SECRET": "a-secret",
    "ENTRA_CLIENT_CERTIFICATE_PATH": "",
    "ENTRA_FEDERATED_TOKEN_FILE": "",
}


def test_safe_settings_have_no_problem() -> None:
    assert production_problems(SAFE) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SANDBOX", True),
        ("DEBUG", True),
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("ALLOWED_HOSTS", []),
        ("ALLOWED_HOSTS", ["*"]),
        ("SITE_URL", "http://costs.example.com"),
        ("SITE_URL", ""),
        ("ENTRA_AUTHORITY_HOST", "http://login.example.com"),
        ("GRAPH_URL", "http://graph.example.com"),
        ("AZURE_AUTHORITY_HOST", "http://login.example.com"),
        ("ENTRA_TENANT_ID", ""),
        ("ENTRA_CLIENT_ID", ""),
        ("ENTRA_CLIENT_SECRET", ""),
    ],
)
def test_one_unsafe_setting_is_one_problem_that_names_it(name: str, value: object) -> None:
    problems = production_problems({**SAFE, name: value})
    assert len(problems) == 1
    assert problems[0].startswith(name)


def test_two_credentials_are_one_too_many() -> None:
    (problem,) = production_problems({**SAFE, "ENTRA_FEDERATED_TOKEN_FILE": "/var/run/token"})
    assert "ENTRA_CLIENT_SECRET and ENTRA_FEDERATED_TOKEN_FILE are set" in problem


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Load the settings in a process of its own, with this environment and no other."""
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.environ["ENV_FILE"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_process_refuses_to_start_and_says_everything_at_once() -> None:
    refused = start(SANDBOX="true", DEBUG="true", GRAPH_URL="http://graph.example.com")
    assert refused.returncode != 0
    for name in ("SANDBOX", "DEBUG", "SECRET_KEY", "ALLOWED_HOSTS", "SITE_URL", "GRAPH_URL"):
        assert f"- {name} " in refused.stderr


def test_production_is_what_an_empty_environment_means() -> None:
    refused = start()
    assert refused.returncode != 0
    assert "not safe for production" in refused.stderr


def test_the_process_starts_with_safe_settings() -> None:
    named = {name: value for name, value in SAFE.items() if isinstance(value, str)}
    started = start(ALLOWED_HOSTS="costs.example.com", **named)
    assert started.returncode == 0, started.stderr


def test_an_unknown_environment_is_refused() -> None:
    refused = start(FINOPS_ENV="prod")
    assert "FINOPS_ENV is 'prod'; expected 'production' or 'development'" in refused.stderr
