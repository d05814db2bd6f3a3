"""The table of hostile ways: forged, replayed, mixed-up and stolen callbacks, and wrong people.

Each way ends with the hostile step. The hole is the guard's that stands against it, taken away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from accounts import attempts
from accounts.reasons import Reason
from sandbox.entra.directory import PEOPLE
from tests.accounts.attacks.conftest import Stage
from tests.accounts.attacks.holes import (
    Patch,
    any_callback_signs_out,
    any_state_will_do,
    anybody_renews,
    codes_last,
    codes_work_twice,
    deactivation_is_overlooked,
    errors_are_overlooked,
    every_local_account_may,
    every_password_is_right,
    everybodys_attempts,
    revocation_is_overlooked,
    setting,
    the_directory_is_overlooked,
    the_library_sees_every_form,
    tokens_from_the_address_are_believed,
)
from tests.accounts.attacks.ways import (
    Outcome,
    anothers_answer,
    anothers_code,
    anothers_code_for_somebody_signed_in,
    code_of_another_tab,
    deactivated,
    expired_code,
    forged_token_as_code,
    guest,
    nobodys_group,
    of_age,
    password_form,
    redeemed_code,
    renewed_as_somebody_else,
    replayed,
    replayed_with_the_old_session,
    revoked_session,
    token_in_place_of_a_code,
    token_of,
    unsolicited,
    with_error,
    with_state,
)

R = Reason


@dataclass(frozen=True)
class FlowAttack:
    name: str
    run: Callable[[Stage], Outcome]
    reason: Reason
    weaken: Callable[[Patch, Stage], None]


_states: list[tuple[str, Callable[[str], Any]]] = [
    ("no state", lambda state: None),
    ("an empty state", lambda state: ""),
    ("a made-up state", lambda state: "made-up"),
    ("the state in another case", lambda state: state.swapcase()),
    ("the state with a space", lambda state: f"{state} "),
    ("the state with NUL", lambda state: f"{state}\x00"),
    ("a state of megabytes", lambda state: state * 100),
    ("half of the state", lambda state: state[:20]),
    ("two states, the right one first", lambda state: [state, "made-up"]),
]


_errors = [
    ("access_denied", R.ENTRA_DECLINED),
    ("consent_required", R.ENTRA_CONSENT),
    ("interaction_required", R.ENTRA_INTERACTION),
    ("login_required", R.ENTRA_INTERACTION),
    ("<script>alert(1)</script>", R.ENTRA_ERROR),
]


_unsolicited_queries = [
    "error=access_denied",
    "error=login_required&state=made-up",
    "code=made-up&state=made-up",
    "",
]


ATTACKS = [
    FlowAttack(
        "an answer of another browser", anothers_answer, R.STATE_UNKNOWN, everybodys_attempts
    ),
    FlowAttack("a code of another browser", anothers_code, R.CODE_REFUSED, codes_work_twice),
    FlowAttack(
        "a code of another browser in a session",
        anothers_code_for_somebody_signed_in,
        R.CODE_REFUSED,
        codes_work_twice,
    ),
    FlowAttack("an answer again", replayed, R.STATE_UNKNOWN, everybodys_attempts),
    FlowAttack(
        "an answer again with the old session",
        replayed_with_the_old_session,
        R.STATE_USED,
        lambda patch, stage: patch.setattr(attempts, "_is_first", lambda state: True),
    ),
    FlowAttack("an attempt of an hour ago", of_age(3600), R.STATE_EXPIRED, everybodys_attempts),
    FlowAttack("an attempt of tomorrow", of_age(-86400), R.STATE_EXPIRED, everybodys_attempts),
    FlowAttack("a code of another tab", code_of_another_tab, R.CODE_REFUSED, codes_work_twice),
    FlowAttack("a code that was redeemed", redeemed_code, R.CODE_REFUSED, codes_work_twice),
    FlowAttack("a code that is too old", expired_code, R.CODE_REFUSED, codes_last),
    *[
        FlowAttack(name, with_state(change), R.STATE_UNKNOWN, any_state_will_do)
        for name, change in _states
    ],
    FlowAttack(
        "a token in place of a code",
        token_in_place_of_a_code,
        R.CODE_MISSING,
        tokens_from_the_address_are_believed,
    ),
    FlowAttack(
        "a token as the code",
        forged_token_as_code,
        R.CODE_REFUSED,
        tokens_from_the_address_are_believed,
    ),
    *[
        FlowAttack(f"a code beside {error}", with_error(error), reason, errors_are_overlooked)
        for error, reason in _errors
    ],
    *[
        FlowAttack(
            f"an unsolicited callback ({query})",
            unsolicited(query),
            R.STATE_UNKNOWN,
            any_callback_signs_out,
        )
        for query in _unsolicited_queries
    ],
    FlowAttack(
        "a renewal as somebody else", renewed_as_somebody_else, R.SESSION_EXPIRED, anybody_renews
    ),
    FlowAttack("a deactivated person", deactivated, R.ACCOUNT_INACTIVE, deactivation_is_overlooked),
    FlowAttack(
        "a person whom the directory lacks",
        token_of(oid=str(uuid4())),
        R.ACCOUNT_GONE,
        the_directory_is_overlooked,
    ),
    FlowAttack(
        "a disabled account",
        token_of(oid=PEOPLE["hal"].oid),
        R.ACCOUNT_DISABLED,
        the_directory_is_overlooked,
    ),
    FlowAttack("a guest", guest, R.GUEST, setting("ALLOW_GUESTS", None)),
    FlowAttack(
        "a person without a mapped group",
        nobodys_group,
        R.NO_MAPPED_GROUP,
        setting("ENTRA_REQUIRE_MAPPED_GROUP", None),
    ),
    FlowAttack(
        "a session that was revoked", revoked_session, R.SESSIONS_REVOKED, revocation_is_overlooked
    ),
    FlowAttack(
        "a wrong password",
        password_form(password="a wrong guess"),
        R.PASSWORD_REFUSED,
        every_password_is_right,
    ),
    FlowAttack(
        "a local account that is no superuser",
        password_form(is_superuser=False),
        R.PASSWORD_REFUSED,
        every_local_account_may,
    ),
    FlowAttack(
        "a deactivated superuser",
        password_form(is_active=False),
        R.PASSWORD_REFUSED,
        every_local_account_may,
    ),
    FlowAttack(
        "a code on a password form",
        password_form("?code={code}&state=made-up", password="a wrong guess"),
        R.PASSWORD_REFUSED,
        the_library_sees_every_form,
    ),
]
