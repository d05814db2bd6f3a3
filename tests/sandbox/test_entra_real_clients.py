"""The real clients get tokens from the fake, over TLS with its CA and not without."""

import time
from contextlib import closing
from typing import Any

import msal
import pytest
import requests
from azure.core.exceptions import ServiceRequestError
from azure.identity import (
    CertificateCredential,
    CredentialUnavailableError,
    WorkloadIdentityCredential,
)

from sandbox.entra.directory import (
    REPLICATOR_CLIENT_ID,
    REPLICATOR_OID,
    TENANT_ID,
    WEB_CLIENT_ID,
    WEB_CLIENT_SECRET,
)
from tests.sandbox.entra_fixtures import Entra

MONGO = "https://ossrdbms-aad.database.windows.net"


def workload_identity(entra: Entra, **more: Any) -> WorkloadIdentityCredential:
    return WorkloadIdentityCredential(
        tenant_id=TENANT_ID,
        client_id=REPLICATOR_CLIENT_ID,
        token_file_path=str(entra.server.federated_token_file),
        authority=entra.addresses.tls,
        disable_instance_discovery=True,
        retry_total=0,
        **more,
    )


def test_msal_acquires_a_token_over_tls(entra: Entra) -> None:
    application = msal.ConfidentialClientApplication(
        WEB_CLIENT_ID,
        authority=f"{entra.addresses.tls}/{TENANT_ID}",
        client_credential=WEB_CLIENT_SECRET,
        instance_discovery=False,
        verify=entra.ca,
    )
    with closing(application.http_client):
        result = application.acquire_token_for_client([f"{entra.addresses.graph}/.default"])

    assert entra.graph("groups?$top=1", result["access_token"]).status_code == 200


def test_msal_reports_entras_refusal(entra: Entra) -> None:
    application = msal.ConfidentialClientApplication(
        WEB_CLIENT_ID,
        authority=f"{entra.addresses.tls}/{TENANT_ID}",
        client_credential="wrong",
        instance_discovery=False,
        verify=entra.ca,
    )
    with closing(application.http_client):
        result = application.acquire_token_for_client([f"{entra.addresses.graph}/.default"])

    assert result["error"] == "invalid_client"
    assert result["error_codes"] == [7000215]


def test_msal_refuses_an_unknown_authority(entra: Entra) -> None:
    session = requests.Session()
    with session, pytest.raises(requests.exceptions.SSLError):
        msal.ConfidentialClientApplication(
            WEB_CLIENT_ID,
            authority=f"{entra.addresses.tls}/{TENANT_ID}",
            client_credential=WEB_CLIENT_SECRET,
            instance_discovery=False,
            http_client=session,
        )


def test_azure_identity_acquires_a_token_by_workload_identity(entra: Entra) -> None:
    with workload_identity(entra, connection_verify=entra.ca) as credential:
        token = credential.get_token(f"{MONGO}/.default")

    assert entra.claims(token.token, MONGO)["oid"] == REPLICATOR_OID
    assert 3500 < token.expires_on - time.time() <= 3600


def test_azure_identity_refuses_an_unknown_authority(entra: Entra) -> None:
    with (
        workload_identity(entra) as credential,
        pytest.raises((ServiceRequestError, CredentialUnavailableError), match="certificate"),
    ):
        credential.get_token(f"{MONGO}/.default")


def test_azure_identity_acquires_a_token_by_certificate(entra: Entra) -> None:
    with CertificateCredential(
        TENANT_ID,
        REPLICATOR_CLIENT_ID,
        certificate_data=entra.server.tenant.certificate.pem(),
        authority=entra.addresses.tls,
        disable_instance_discovery=True,
        connection_verify=entra.ca,
    ) as credential:
        token = credential.get_token(f"{MONGO}/.default")

    assert entra.claims(token.token, MONGO)["oid"] == REPLICATOR_OID
