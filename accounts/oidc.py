"""mozilla-django-oidc's backend with its holes closed.

As it comes, it finds people by e-mail address, checks neither issuer nor audience nor tenant, runs
for every password form that carries ``?code=``, and keeps the sessions of deactivated people. Every
method that decides something is overridden here; what remains is the order of the code flow.
"""

from collections.abc import Callable
from typing import Any, Final

import jwt
import structlog
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from accounts import id_token, keys
from accounts.claims import VerifiedClaims
from accounts.config import ConfigurationError, callback_url, load_auth_config
from accounts.credentials import CredentialError, client_credential
from accounts.discovery import endpoints
from accounts.graph import Membership, graph_client
from accounts.levels import PermissionLevel
from accounts.models import User
from accounts.permissions import PermissionService, keep_groups
from accounts.reasons import Reason, Refused
from accounts.transport import Transport, Unreachable

logger = structlog.stdlib.get_logger("accounts.oidc")

BACKEND: Final = "accounts.oidc.EntraBackend"

# What the library would read from Django's settings, where a slip could weaken it.
_SETTINGS: Final[dict[str, Callable[[], Any]]] = {
    "OIDC_OP_TOKEN_ENDPOINT": lambda: endpoints().token,
    "OIDC_OP_USER_ENDPOINT": str,  # never asked: identity comes from the ID token alone
    "OIDC_OP_JWKS_ENDPOINT": lambda: endpoints().keys,
    "OIDC_RP_CLIENT_ID": lambda: settings.ENTRA_CLIENT_ID,
    "OIDC_RP_CLIENT_SECRET": str,  # accounts.credentials proves who we are
    "OIDC_RP_SIGN_ALGO": lambda: id_token.ALGORITHM,
    "OIDC_AUTHENTICATION_CALLBACK_URL": lambda: "accounts:callback",
    "OIDC_USE_NONCE": lambda: True,
    "OIDC_USE_PKCE": lambda: True,
}


class EntraBackend(OIDCAuthenticationBackend):  # type: ignore[misc]  # the library has no types
    """Signs people in with Entra ID, and gives people of level ADMIN the admin's permissions."""

    request: HttpRequest

    def __init__(self) -> None:
        # Django makes a backend for every check of a permission; the library's own constructor,
        # which needs Entra's endpoints, runs in ``sign_in`` only.
        self.UserModel = User
        self.claims: VerifiedClaims | None = None

    @staticmethod
    def get_settings(attr: str, *args: Any) -> Any:
        """Return the fixed value of a library setting, else the library's default."""
        return _SETTINGS[attr]() if attr in _SETTINGS else args[0]

    def authenticate(self, request: HttpRequest | None, **credentials: Any) -> None:
        """Sign nobody in: Django asks every backend about every password form.

        The library would take a ``?code=`` on such a form's address for a sign-in with Entra,
        without state, nonce and verifier.
        """
        return

    @sensitive_variables()
    def sign_in(
        self, request: HttpRequest, *, nonce: str, code_verifier: str
    ) -> tuple[User, VerifiedClaims]:
        """Exchange the callback's code, check the token, return the person. Raises ``Refused``."""
        try:
            load_auth_config()
            super().__init__()
            user = super().authenticate(request, nonce=nonce, code_verifier=code_verifier)
        except ConfigurationError as error:
            logger.error("sign_in_not_configured", error=str(error))  # noqa: TRY400 - it says all
            raise Refused(Reason.CONFIGURATION) from None
        except (SuspiciousOperation, jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
            logger.warning("sign_in_malformed", error=type(error).__name__)
            raise Refused(Reason.TOKEN_MALFORMED) from None
        if user is None or self.claims is None:
            raise Refused(Reason.CODE_MISSING)
        return user, self.claims

    # --- the code's exchange ----------------------------------------------------------------------

    @sensitive_variables()
    def get_token(self, payload: dict[str, str]) -> dict[str, Any]:
        """Exchange the code. Raises ``Refused``."""
        form = {name: value for name, value in payload.items() if name != "client_secret"}
        try:
            form |= {"redirect_uri": callback_url()} | client_credential().form()
        except CredentialError as error:
            raise ConfigurationError(str(error)) from None
        try:
            with Transport() as http:
                answer = http.post(self.OIDC_OP_TOKEN_ENDPOINT, data=form)
        except Unreachable as error:
            logger.warning("token_endpoint_unreachable", error=str(error))
            raise Refused(Reason.ENTRA_UNREACHABLE) from None
        try:
            document = answer.json_object()
        except ValueError:
            document = {}
        if answer.status_code == 200:
            return document
        raise _token_refusal(answer.status_code, document)

    # --- the token's checks -----------------------------------------------------------------------

    def retrieve_matching_jwk(self, token: Any) -> jwt.PyJWK:
        """Return Entra's key with the token's key id. Raises ``Refused``."""
        kid = id_token.key_id(token)
        try:
            return keys.signing_key(kid, keys_url=self.OIDC_OP_JWKS_ENDPOINT)
        except keys.UnknownKey:
            raise Refused(Reason.TOKEN_KEY) from None
        except Unreachable as error:
            logger.warning("signing_keys_unreachable", error=str(error))
            raise Refused(Reason.ENTRA_UNREACHABLE) from None

    @sensitive_variables()
    def verify_token(self, token: Any, **kwargs: Any) -> VerifiedClaims:
        """Check the ID token. Raises ``Refused``."""
        return id_token.verify(
            token,
            key=self.retrieve_matching_jwk(token),
            audience=settings.ENTRA_CLIENT_ID,
            issuer=endpoints().issuer,
            tenant_id=settings.ENTRA_TENANT_ID,
            nonce=kwargs.get("nonce") or "",
        )

    def get_payload_data(self, token: Any, key: Any) -> dict[str, Any]:
        """Refuse: the library's own check of a signature looks at nothing else."""
        raise Refused(Reason.INTERNAL)

    def get_userinfo(
        self, access_token: Any, token: Any, payload: VerifiedClaims
    ) -> VerifiedClaims:
        """Return the ID token's claims: the user-info endpoint tells neither tenant nor oid."""
        return payload

    def verify_claims(self, claims: VerifiedClaims) -> bool:
        """Return whether the claims are checked ones. An address is not asked for."""
        return isinstance(claims, VerifiedClaims)

    def store_tokens(self, access_token: Any, token: Any) -> None:
        """Keep no token: none is needed after the sign-in."""

    # --- the person -------------------------------------------------------------------------------

    def get_or_create_user(self, access_token: Any, token: Any, payload: VerifiedClaims) -> User:
        """Return the person, with fresh groups. Raises ``Refused``, and then leaves no new row."""
        self.claims = claims = self.get_userinfo(access_token, token, payload)
        known = self.filter_users_by_claims(claims).first()
        if claims.is_guest and not settings.ALLOW_GUESTS:
            raise Refused(Reason.GUEST)
        if known is not None and not known.is_active:
            raise Refused(Reason.ACCOUNT_INACTIVE)
        service = PermissionService(graph=graph_client(), session=self.request.session)
        membership = service.ask_membership(str(claims.oid))
        if membership is not None:
            service.permission_from(str(claims.oid), membership.group_oids)
        return self._keep(claims, membership)

    def filter_users_by_claims(self, claims: VerifiedClaims) -> Any:
        """Return the people with this tenant and object id: one or none."""
        return User.objects.filter(tid=claims.tid, oid=claims.oid)

    def get_username(self, claims: VerifiedClaims) -> str:
        """Return the identity as text. Never an address: those pass to somebody else one day."""
        return f"{claims.tid}.{claims.oid}"

    def create_user(self, claims: VerifiedClaims) -> User:
        """Return the person's row, made if need be; two first sign-ins at once make one."""
        defaults = {"username": self.get_username(claims), "password": make_password(None)}
        return User.objects.get_or_create(tid=claims.tid, oid=claims.oid, defaults=defaults)[0]

    def update_user(self, user: User, claims: VerifiedClaims) -> User:
        """Write what the token says for display."""
        user.display_name = claims.name or claims.preferred_username
        user.email = claims.email
        user.claims = claims.facts()
        user.save(update_fields=["display_name", "email", "claims"])
        return user

    @transaction.atomic
    def _keep(self, claims: VerifiedClaims, membership: Membership | None) -> User:
        user = self.update_user(self.create_user(claims), claims)
        if membership is not None:
            keep_groups(user, membership)
        return user

    def get_user(self, user_id: Any) -> User | None:
        """Return an active person, without the list of groups, which most requests do not need."""
        people = User.objects.defer("group_oids").filter(oid__isnull=False, is_active=True)
        return people.filter(pk=user_id).first()

    # --- the admin's permissions ------------------------------------------------------------------

    def has_perm(
        self, user_obj: AbstractBaseUser | Any, perm: str, obj: Model | None = None
    ) -> bool:
        """Return whether the guard found level ADMIN for this request. Nothing stored counts."""
        return isinstance(user_obj, User) and user_obj.is_active and _is_admin(user_obj)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        """Return the same for a whole app."""
        return self.has_perm(user_obj, app_label)

    def get_all_permissions(self, user_obj: Any, obj: Model | None = None) -> set[str]:
        """Return no list: there is a level, and no stored permissions."""
        return set()

    get_user_permissions = get_group_permissions = get_all_permissions


def _is_admin(user: User) -> bool:
    return user.level is PermissionLevel.ADMIN


def _token_refusal(status: int, document: dict[str, Any]) -> Refused:
    """Sort the token endpoint's refusals. Its texts are not repeated: they may quote the code."""
    error = document.get("error")
    numbers = document.get("error_codes")
    logger.warning(
        "code_exchange_refused",
        status=status,
        error=error if isinstance(error, str) and error.isidentifier() else None,
        numbers=[n for n in numbers if isinstance(n, int)] if isinstance(numbers, list) else None,
    )
    if status == 429 or status >= 500:
        return Refused(Reason.ENTRA_BUSY)
    if error in {"invalid_client", "unauthorized_client"}:
        return Refused(Reason.CLIENT_REFUSED)
    return Refused(Reason.CODE_REFUSED)
