"""The steps of sign-in to the pages: Entra ID's documents, the application's proof, Graph."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.x509 import load_pem_x509_certificate
from django.conf import settings

from accounts.config import (
    AuthConfig,
    ConfigurationError,
    build_metadata_url,
    callback_url,
)
from accounts.credentials import CredentialError, client_credential
from accounts.discovery import Endpoints, UntrustedDocument, read_endpoints
from accounts.keys import read_keys
from accounts.transport import Answer, Transport, Unreachable, budget
from finops.diagnosis.checks import PageCheck
from replication.auth.diagnosis.entra_codes import meaning
from replication.auth.diagnosis.findings import Cause, Finding, StepFailed
from replication.auth.diagnosis.steps import Step

REQUIRED_ROLES = ("GroupMember.Read.All", "User.Read.All")
_CORRECT_CREDENTIAL = (
    "Correct the setting it names; exactly one of ENTRA_CLIENT_SECRET,"
    " ENTRA_CLIENT_CERTIFICATE_PATH and ENTRA_FEDERATED_TOKEN_FILE is set."
)
_ASK_NETWORK = "Check ENTRA_AUTHORITY_HOST, ENTRA_CA_FILE, and the way there through proxies."


@dataclass
class PagesProbe:
    """Walks the steps; each raises ``StepFailed``. A later step needs the earlier ones' results."""

    timeout: float = 10.0
    _endpoints: Endpoints | None = None
    _claims: dict[str, Any] = field(default_factory=dict, repr=False)
    _token: str = field(default="", repr=False)

    def steps(self, *, graph: bool) -> list[Step]:
        """Return what to look at for sign-in, and with ``graph`` for the groups as well."""
        login = [
            Step(PageCheck.CONFIGURATION, self.check_configuration),
            Step(PageCheck.DISCOVERY, self.discover),
            Step(PageCheck.KEYS, self.read_keys),
            Step(PageCheck.CREDENTIAL, self.check_credential),
            Step(PageCheck.APP_TOKEN, self.request_token),
        ]
        more = [Step(PageCheck.ROLES, self.check_roles), Step(PageCheck.GRAPH, self.ask_graph)]
        return [*login, *more] if graph else login

    def check_configuration(self) -> Finding:
        """Find what is missing in the settings."""
        try:
            config = _configuration()
            config.validate()
        except ConfigurationError as error:
            raise StepFailed(
                Cause.INVALID_CONFIGURATION, str(error), "Set them; finops/settings.py has all."
            ) from None
        return Finding(
            f"tenant {config.tenant_id}, application {config.client_id},"
            f" redirect URI {config.redirect_uri}",
            {
                "tenant_id": config.tenant_id,
                "client_id": config.client_id,
                "redirect_uri": config.redirect_uri,
            },
        )

    def discover(self) -> Finding:
        """Read the discovery document, and compare it with the configuration."""
        authority, tenant = settings.ENTRA_AUTHORITY_HOST, settings.ENTRA_TENANT_ID
        answer = self._ask("GET", build_metadata_url(tenant, authority_host=authority))
        if answer.status_code == 400:
            cause, remedy = meaning(90002)
            raise StepFailed(cause, f"Entra ID knows no tenant {tenant}.", remedy)
        try:
            self._endpoints = read_endpoints(
                _json(answer), authority_host=authority, tenant_id=tenant, sandbox=settings.SANDBOX
            )
        except UntrustedDocument as error:
            raise StepFailed(
                Cause.ENTRA_UNTRUSTED,
                f"The discovery document contradicts the configuration: {error}.",
                "Correct ENTRA_AUTHORITY_HOST and ENTRA_TENANT_ID; if they are right, something"
                " on the way answers in Entra's place.",
            ) from None
        return Finding(f"issuer {self._endpoints.issuer}", {"issuer": self._endpoints.issuer})

    def read_keys(self) -> Finding:
        """Read the keys that ID tokens are signed with."""
        answer = self._ask("GET", self._found.keys)
        try:
            keys = read_keys(_json(answer))
        except ValueError as error:
            raise StepFailed(Cause.ENTRA_UNTRUSTED, f"{error}.", _ASK_NETWORK) from None
        return Finding(f"{len(keys)} RSA keys", {"keys": sorted(keys)})

    def check_credential(self) -> Finding:
        """Make a proof, and say how long the credential lasts, where it tells."""
        try:
            client_credential().form()
            ends, kind = _end_of_credential()
        except CredentialError as error:
            raise StepFailed(
                Cause.CREDENTIAL_UNAVAILABLE, str(error), _CORRECT_CREDENTIAL
            ) from None
        if ends is None:
            return Finding(f"{kind}; when it ends, only the app registration tells", {"kind": kind})
        days = (ends - datetime.now(UTC)).total_seconds() / 86_400
        if days < 0:
            raise StepFailed(
                Cause.CREDENTIAL_REFUSED,
                f"The {kind} ended on {ends:%Y-%m-%d %H:%M} UTC.",
                "Make a new one, register it, and put it where the old one is.",
            )
        shown = f"{days:,.0f} days" if days >= 2 else f"{days * 24:,.1f} hours"
        facts = {"kind": kind, "ends": ends.isoformat(), "days": round(days, 2)}
        return Finding(f"{kind}, which ends in {shown}", facts)

    def request_token(self) -> Finding:
        """Ask for the application's own token for Graph."""
        try:
            proof = client_credential().form()
        except CredentialError as error:
            raise StepFailed(
                Cause.CREDENTIAL_UNAVAILABLE, str(error), _CORRECT_CREDENTIAL
            ) from None
        form = {
            "grant_type": "client_credentials",
            "client_id": settings.ENTRA_CLIENT_ID,
            "scope": f"{self._graph_url}/.default",
            **proof,
        }
        answer = self._ask("POST", self._found.token, form)
        content = _json(answer)
        token = content.get("access_token")
        if answer.status_code != 200 or not isinstance(token, str):
            raise _token_refused(answer.status_code, content)
        self._token, self._claims = token, _unverified(token)
        lifetime = float(self._claims.get("exp", 0)) - time.time()
        facts = {"audience": self._claims.get("aud"), "expires_in": round(lifetime)}
        return Finding(f"for {self._claims.get('aud')}, valid for {lifetime / 60:,.0f} min", facts)

    def check_roles(self) -> Finding:
        """Look for the permissions that the pages need in the token itself."""
        roles = self._claims.get("roles")
        have = sorted(map(str, roles)) if isinstance(roles, list) else []
        missing = [role for role in REQUIRED_ROLES if role not in have]
        if missing:
            raise StepFailed(
                Cause.MISSING_ROLE,
                f"The token lacks {' and '.join(missing)}; it has {', '.join(have) or 'no role'}.",
                "Add them to the app registration as APPLICATION permissions of Microsoft Graph"
                " (delegated ones do not count), and grant admin consent.",
            )
        return Finding(", ".join(have), {"roles": have})

    def ask_graph(self) -> Finding:
        """Ask Graph for one group."""
        url = f"{self._graph_url}/v1.0/groups?$select=id&$top=1"
        try:
            with budget(self.timeout), Transport() as http:
                answer = http.get(url, headers={"Authorization": f"Bearer {self._token}"})
        except Unreachable as error:
            raise StepFailed(
                Cause.GRAPH_UNREACHABLE, f"{error}.", "Check GRAPH_URL, and the way there."
            ) from None
        request_id = str(answer.headers.get("request-id", "-"))[:64]
        if answer.status_code != 200:
            raise StepFailed(
                Cause.GRAPH_REFUSED,
                f"Graph answered {answer.status_code} (its request id: {request_id}).",
                "401 and 403: grant the roles, wait some minutes, and try again. 429 and 5xx: try"
                " again later.",
            )
        return Finding(f"answered {answer.status_code}", {"status": answer.status_code})

    @property
    def _found(self) -> Endpoints:
        if self._endpoints is None:
            raise RuntimeError("discover() comes first")
        return self._endpoints

    @property
    def _graph_url(self) -> str:
        if settings.GRAPH_URL:
            return str(settings.GRAPH_URL)
        if self._found.graph_host:
            return f"https://{self._found.graph_host}"
        raise StepFailed(
            Cause.INVALID_CONFIGURATION,
            "The discovery document names no Microsoft Graph that is known.",
            "Set GRAPH_URL.",
        )

    def _ask(self, method: str, url: str, form: dict[str, str] | None = None) -> Answer:
        try:
            with budget(self.timeout), Transport() as http:
                answer = http.get(url) if method == "GET" else http.post(url, data=form)
        except Unreachable as error:
            raise StepFailed(Cause.ENTRA_UNREACHABLE, f"{error}.", _ASK_NETWORK) from None
        if answer.status_code >= 500:
            raise StepFailed(
                Cause.ENTRA_UNREACHABLE, f"Entra ID answered {answer.status_code}.", "Try again."
            )
        return answer


def _configuration() -> AuthConfig:
    """Return what the settings say; the mappings, which are in the database, play no part here."""
    tenant_id, authority = settings.ENTRA_TENANT_ID, settings.ENTRA_AUTHORITY_HOST
    return AuthConfig(
        client_id=settings.ENTRA_CLIENT_ID,
        client_secret=settings.ENTRA_CLIENT_SECRET,
        tenant_id=tenant_id,
        redirect_uri=callback_url() if settings.SITE_URL else "",
        cookie_secret=settings.SECRET_KEY,
        server_metadata_url=build_metadata_url(tenant_id, authority_host=authority),
        certificate_path=settings.ENTRA_CLIENT_CERTIFICATE_PATH,
        federated_token_file=settings.ENTRA_FEDERATED_TOKEN_FILE,
    )


def _json(answer: Answer) -> dict[str, Any]:
    try:
        return answer.json_object()
    except ValueError as error:
        raise StepFailed(Cause.ENTRA_UNTRUSTED, f"Entra ID: {error}.", _ASK_NETWORK) from None


def _token_refused(status: int, content: dict[str, Any]) -> StepFailed:
    # Of the answer only numbers: its description may quote what was sent.
    codes = content.get("error_codes")
    code = codes[0] if isinstance(codes, list) and codes and isinstance(codes[0], int) else None
    if code is None:
        return StepFailed(
            Cause.REQUEST_REFUSED, f"Entra ID answered {status} without a code.", _ASK_NETWORK
        )
    cause, remedy = meaning(code)
    return StepFailed(cause, f"Entra ID gives no token: AADSTS{code}.", remedy)


def _end_of_credential() -> tuple[datetime | None, str]:
    """Return when the configured credential ends, if it says so, and what it is."""
    if settings.ENTRA_CLIENT_SECRET:
        return None, "client secret"
    if settings.ENTRA_FEDERATED_TOKEN_FILE:
        ends = _unverified(client_credential().form()["client_assertion"]).get("exp")
        kind = "federated token"
        return (datetime.fromtimestamp(ends, UTC) if isinstance(ends, int) else None), kind
    path = settings.ENTRA_CLIENT_CERTIFICATE_PATH
    try:
        with open(path, "rb") as file:
            certificate = load_pem_x509_certificate(file.read())
    except (OSError, ValueError) as error:
        raise CredentialError(f"{path} cannot be read: {type(error).__name__}.") from None
    return certificate.not_valid_after_utc, "client certificate"


def _unverified(token: str) -> dict[str, Any]:
    """What a token says of itself; only shown, and nothing is decided by it."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return {}
    return claims
