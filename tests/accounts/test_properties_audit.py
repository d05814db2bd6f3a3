"""Correctness properties 13 to 16 of the requirement: the log."""

from datetime import datetime

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from accounts import audit
from accounts.levels import PermissionLevel
from accounts.models import AuditEvent
from accounts.reasons import Reason

pytestmark = pytest.mark.django_db

# No NUL: PostgreSQL stores none, and claims lose theirs before they come here.
names = st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
    min_size=1,
    max_size=200,
)
oids = st.uuids().map(str)
levels = st.sampled_from(PermissionLevel)
secrets = st.text(st.characters(min_codepoint=48, max_codepoint=122), min_size=24, max_size=60)


@given(email=names, oid=oids, level=levels)
def test_auth_event_log_content(email: str, oid: str, level: PermissionLevel) -> None:
    """Feature: entraid-authentication, Property 13: Auth Event Log Content."""
    with capture_logs() as lines:
        audit.log_auth_event(email, oid, level)

    (line,) = lines
    assert (line["email"], line["oid"], line["permission"]) == (email, oid, level.name)
    assert datetime.fromisoformat(line["at"]).tzinfo
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.user_oid) == (email, oid)
    assert event.details["permission"] == level.name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(code=secrets, state=secrets, description=secrets, error=st.none() | secrets)
def test_log_sanitization(
    client: Client, code: str, state: str, description: str, error: str | None
) -> None:
    """Feature: entraid-authentication, Property 14: Log Sanitization."""
    query = {"code": code, "state": state, "error_description": description}
    with capture_logs() as lines:
        client.get("/oidc/callback/", query | ({"error": error} if error else {}))

    refused = [line for line in lines if line["event"] == "sign_in_refused"]
    assert [line["reason"] for line in refused] == ["state_unknown"]
    event = AuditEvent.objects.latest("pk")
    for text in (str(refused), str(vars(event))):
        assert not any(secret in text for secret in (code, state, description, error or code))


@given(reason=st.sampled_from(Reason))
def test_a_failure_is_recorded_by_its_reason_alone(reason: Reason) -> None:
    with capture_logs() as lines:
        audit.log_auth_failure(reason)

    assert lines[0]["reason"] == reason.value
    assert lines[0]["log_level"] == "warning"


@given(email=names)
def test_logout_log_content(email: str) -> None:
    """Feature: entraid-authentication, Property 15: Logout Log Content."""
    with capture_logs() as lines:
        audit.log_logout(email)

    assert lines[0]["email"] == email
    assert datetime.fromisoformat(lines[0]["at"]).tzinfo


@given(oid=oids, resource=names, required=levels)
def test_access_denied_log_content(oid: str, resource: str, required: PermissionLevel) -> None:
    """Feature: entraid-authentication, Property 16: Access Denied Log Content."""
    with capture_logs() as lines:
        audit.log_access_denied(oid, resource, required)

    assert (lines[0]["oid"], lines[0]["resource"]) == (oid, resource)
    assert lines[0]["required"] == required.name
    assert AuditEvent.objects.latest("pk").resource == resource
