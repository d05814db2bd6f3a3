"""Why somebody is refused: one code for the log and the page, and what the page says.

Texts never repeat what a request or an answer contained.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """A reason code. It is shown to the person, and it is what the audit log is searched by."""

    # What came back from the browser
    STATE_UNKNOWN = "state_unknown"
    STATE_EXPIRED = "state_expired"
    STATE_USED = "state_used"
    CODE_MISSING = "code_missing"
    # What Entra ID answered instead of a code
    ENTRA_DECLINED = "entra_declined"
    ENTRA_CONSENT = "entra_consent"
    ENTRA_INTERACTION = "entra_interaction"
    ENTRA_BUSY = "entra_busy"
    ENTRA_ERROR = "entra_error"
    # The exchange of the code
    CONFIGURATION = "configuration"
    ENTRA_UNREACHABLE = "entra_unreachable"
    ENTRA_UNTRUSTED = "entra_untrusted"
    CODE_REFUSED = "code_refused"
    CLIENT_REFUSED = "client_refused"
    # The ID token
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a code, as are the ones below
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105
    TOKEN_ALGORITHM = "token_algorithm"  # noqa: S105
    TOKEN_KEY = "token_key"  # noqa: S105
    TOKEN_SIGNATURE = "token_signature"  # noqa: S105
    TOKEN_AUDIENCE = "token_audience"  # noqa: S105
    TOKEN_ISSUER = "token_issuer"  # noqa: S105
    TOKEN_TENANT = "token_tenant"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    TOKEN_NOT_YET_VALID = "token_not_yet_valid"  # noqa: S105
    TOKEN_CLAIM = "token_claim"  # noqa: S105
    TOKEN_NONCE = "token_nonce"  # noqa: S105
    # The account
    ACCOUNT_INACTIVE = "account_inactive"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_GONE = "account_gone"
    ACCOUNT_LOCAL = "account_local"
    SESSIONS_REVOKED = "sessions_revoked"
    GUEST = "guest"
    NO_MAPPED_GROUP = "no_mapped_group"
    GROUPS_UNKNOWN = "groups_unknown"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105
    # A page
    LEVEL = "level"
    UNCLASSIFIED = "unclassified"
    SESSION_ENDED = "session_ended"
    SESSION_EXPIRED = "session_expired"
    SIGNED_OUT_AT_ENTRA = "signed_out_at_entra"
    SESSION_DAMAGED = "session_damaged"
    FORM_STALE = "form_stale"
    # Too much of it
    RATE_LIMITED = "rate_limited"
    # Anything that nobody thought of
    INTERNAL = "internal"


class Refused(Exception):
    """Somebody is refused, for ``reason``. Carries nothing else, so it may be logged."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Explanation:
    """What the page of a refusal says, and its HTTP status."""

    status: int
    heading: str
    advice: str


_STALE = Explanation(
    400,
    "This sign-in can’t be completed",
    "It was started too long ago, in another browser, or was already used. Nothing is wrong with"
    " your account. Sign in again from here.",
)
_UNTRUSTED = Explanation(
    403,
    "This sign-in was refused",
    "The answer from Microsoft did not pass our checks, so nobody was signed in. Try once more; if"
    " it happens again, give your administrator the two codes below.",
)
_ELSEWHERE = Explanation(
    503,
    "Sign-in is not available right now",
    "Microsoft’s sign-in service did not answer as it should. Wait a minute and try again.",
)
_SETUP = Explanation(
    503,
    "Sign-in is not set up correctly",
    "Your administrator has to correct the app registration or this site’s settings. Give them the"
    " two codes below.",
)
_ACCOUNT = Explanation(
    403,
    "Your account can’t be used here",
    "It was disabled or removed. If that is a surprise, ask your administrator.",
)
_AGAIN = Explanation(
    401, "Please sign in again", "Your session has ended. What you entered was not saved."
)

_EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.STATE_UNKNOWN: _STALE,
    Reason.STATE_EXPIRED: _STALE,
    Reason.STATE_USED: _STALE,
    Reason.CODE_MISSING: _STALE,
    Reason.CODE_REFUSED: _STALE,
    Reason.ENTRA_DECLINED: Explanation(
        403,
        "Microsoft did not sign you in",
        "You cancelled, or your organisation has not given you access to this application. If you"
        " need it, ask your administrator.",
    ),
    Reason.ENTRA_CONSENT: Explanation(
        403,
        "An administrator has to approve this application",
        "Your organisation has not yet agreed to what it asks for.",
    ),
    Reason.ENTRA_INTERACTION: Explanation(
        403,
        "Microsoft needs something more from you",
        "For example a second factor, or a choice between accounts. Sign in again from here.",
    ),
    Reason.ENTRA_BUSY: _ELSEWHERE,
    Reason.ENTRA_UNREACHABLE: _ELSEWHERE,
    Reason.ENTRA_ERROR: Explanation(
        400,
        "Microsoft reported an error",
        "Try once more; if it happens again, give your administrator the two codes below.",
    ),
    Reason.CONFIGURATION: _SETUP,
    Reason.ENTRA_UNTRUSTED: _SETUP,
    Reason.CLIENT_REFUSED: _SETUP,
    Reason.ACCOUNT_INACTIVE: _ACCOUNT,
    Reason.ACCOUNT_DISABLED: _ACCOUNT,
    Reason.ACCOUNT_GONE: _ACCOUNT,
    Reason.ACCOUNT_LOCAL: Explanation(
        403,
        "This local account can’t be used here",
        "Only the emergency administrator signs in without Microsoft.",
    ),
    Reason.SESSIONS_REVOKED: Explanation(
        401,
        "Please sign in again",
        "Your sessions were ended by your organisation, or you changed your password.",
    ),
    Reason.GUEST: Explanation(
        403,
        "Guests have no access here",
        "You signed in with an account of another organisation. Use an account of this one.",
    ),
    Reason.RATE_LIMITED: Explanation(
        429,
        "Too many attempts",
        "There were more sign-ins from your browser or network than we allow. Wait a minute and try"
        " again.",
    ),
    Reason.NO_MAPPED_GROUP: Explanation(
        403,
        "You have no access yet",
        "You are signed in, but none of your groups is allowed to use this site. Ask your"
        " administrator to add you to one that is.",
    ),
    Reason.GROUPS_UNKNOWN: Explanation(
        503,
        "Your access can’t be determined right now",
        "Microsoft did not tell which groups you are in. Wait a minute and try again.",
    ),
    Reason.PASSWORD_REFUSED: Explanation(
        403, "This password sign-in was refused", "Wait a quarter of an hour before trying again."
    ),
    Reason.LEVEL: Explanation(
        403,
        "This page needs a higher level",
        "If you need it for your work, ask your administrator for access.",
    ),
    Reason.UNCLASSIFIED: Explanation(
        403, "Nobody may open this page", "It does not say who may, so it is closed."
    ),
    Reason.SESSION_ENDED: _AGAIN,
    Reason.SESSION_EXPIRED: _AGAIN,
    Reason.SIGNED_OUT_AT_ENTRA: _AGAIN,
    Reason.SESSION_DAMAGED: _AGAIN,
    Reason.FORM_STALE: Explanation(
        403,
        "This form is too old",
        "Go back, reload the page, and send it again. Cookies have to be allowed for this site.",
    ),
    Reason.INTERNAL: Explanation(
        503,
        "Something went wrong on our side",
        "It has been recorded. Try once more; if it happens again, give your administrator the two"
        " codes below.",
    ),
}


def explain(reason: Reason) -> Explanation:
    """Return what the page says. A token's faults all read the same: details help an attacker."""
    return _EXPLANATIONS.get(reason, _UNTRUSTED)
