"""Every address of the fake, derived from its two ports."""

from dataclasses import dataclass

from sandbox.entra.directory import TENANT_ID


@dataclass(frozen=True)
class Addresses:
    """``tls`` and ``pages`` are origins, such as ``https://localhost:8443``."""

    tls: str
    pages: str

    @property
    def issuer(self) -> str:
        """The ``iss`` of every token."""
        return f"{self.tls}/{TENANT_ID}/v2.0"

    @property
    def discovery(self) -> str:
        """Where the discovery document is."""
        return f"{self.issuer}/.well-known/openid-configuration"

    @property
    def keys(self) -> str:
        """Where the signing keys are."""
        return f"{self.tls}/{TENANT_ID}/discovery/v2.0/keys"

    @property
    def token(self) -> str:
        """The token endpoint."""
        return f"{self.tls}/{TENANT_ID}/oauth2/v2.0/token"

    @property
    def authorize(self) -> str:
        """The page that signs people in."""
        return f"{self.pages}/{TENANT_ID}/oauth2/v2.0/authorize"

    @property
    def pick(self) -> str:
        """Where the sign-in page sends the picked person."""
        return f"{self.pages}/{TENANT_ID}/login"

    @property
    def logout(self) -> str:
        """The page that signs people out."""
        return f"{self.pages}/{TENANT_ID}/oauth2/v2.0/logout"

    @property
    def graph(self) -> str:
        """Microsoft Graph's origin and prefix, without a version."""
        return f"{self.tls}/graph"

    @property
    def cluster_issuer(self) -> str:
        """The ``iss`` of the federated token: the cluster that workloads run in."""
        return f"{self.tls}/cluster"


def discovery_document(addresses: Addresses) -> dict[str, object]:
    """The discovery document, in the shape of Entra's."""
    return {
        "issuer": addresses.issuer,
        "authorization_endpoint": addresses.authorize,
        "token_endpoint": addresses.token,
        "end_session_endpoint": addresses.logout,
        "jwks_uri": addresses.keys,
        "userinfo_endpoint": f"{addresses.graph}/oidc/userinfo",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "request_uri_parameter_supported": False,
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "claims_supported": [
            "sub",
            "iss",
            "aud",
            "exp",
            "iat",
            "nbf",
            "auth_time",
            "nonce",
            "preferred_username",
            "name",
            "tid",
            "ver",
            "email",
        ],
        "tenant_region_scope": "EU",
        "cloud_instance_name": addresses.tls.removeprefix("https://"),
        "msgraph_host": addresses.graph.removeprefix("https://"),
    }
