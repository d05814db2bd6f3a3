"""What Entra ID's own error numbers mean, and what mends them.

Source: learn.microsoft.com, "Microsoft Entra authentication and authorization error codes".
"""

from replication.auth.diagnosis.findings import Cause

_TENANT = (
    Cause.WRONG_TENANT,
    "Correct the tenant id: the Entra admin centre shows it under Overview, Tenant ID.",
)
_CLIENT = (
    Cause.CREDENTIAL_REFUSED,
    "Correct the client id, or the tenant id: this tenant has no such application or identity.",
)
_FEDERATION = (
    Cause.CREDENTIAL_REFUSED,
    "Compare the federated credential in Entra ID with the cluster's token: issuer, subject"
    " (system:serviceaccount:NAMESPACE:NAME) and audience (api://AzureADTokenExchange) must be"
    " equal, letter by letter.",
)
_SECRET = (
    Cause.CREDENTIAL_REFUSED,
    "Set the value of a current client secret of this app registration, not the secret's id.",
)
_CERTIFICATE = (
    Cause.CREDENTIAL_REFUSED,
    "Upload this certificate to the app registration, or point to the one that is registered.",
)
_RESOURCE = (
    Cause.WRONG_AUDIENCE,
    "Correct the scope: this tenant has no such resource. Azure DocumentDB needs"
    " https://ossrdbms-aad.database.windows.net/.default.",
)
_CONSENT = (
    Cause.REQUEST_REFUSED,
    "Let an administrator of the tenant consent to the application's permissions.",
)
_POLICY = (
    Cause.REQUEST_REFUSED,
    "A conditional access policy refuses this identity or this network: ask whoever keeps the"
    " policies.",
)
_DISABLED = (Cause.REQUEST_REFUSED, "Enable the application or its service principal in Entra ID.")
_MEANINGS: dict[int, tuple[Cause, str]] = {
    90002: _TENANT,
    900021: _TENANT,
    900023: _TENANT,
    700016: _CLIENT,
    700038: _CLIENT,
    70021: _FEDERATION,
    700024: (
        Cause.TOKEN_EXPIRED,
        "The cluster's token or the signed assertion is outside of its time: compare this machine's"
        " clock, and look whether the cluster still renews the token's file.",
    ),
    700027: _CERTIFICATE,
    700030: _CERTIFICATE,
    700211: _FEDERATION,
    700212: _FEDERATION,
    700213: _FEDERATION,
    7000215: _SECRET,
    7000218: _SECRET,
    7000222: (
        Cause.CREDENTIAL_REFUSED,
        "The client secret or certificate has expired: make a new one, and set it.",
    ),
    500011: _RESOURCE,
    70011: _RESOURCE,
    1002012: _RESOURCE,
    65001: _CONSENT,
    53003: _POLICY,
    7000112: _DISABLED,
}
_UNKNOWN = (
    Cause.REQUEST_REFUSED,
    "Look the number up at https://login.microsoftonline.com/error, and the request in Entra ID's"
    " sign-in logs under service principals.",
)


def meaning(code: int) -> tuple[Cause, str]:
    """Return the cause and the remedy of an AADSTS number, known here or not."""
    return _MEANINGS.get(code, _UNKNOWN)
