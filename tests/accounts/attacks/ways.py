"""The hostile ways: each goes up to its hostile step, takes it, and says whom it concerned."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from accounts import renewal
from accounts.models import User
from sandbox.entra.directory import PEOPLE
from tests.accounts.attacks.conftest import Stage
from tests.accounts.attacks.visitor import Visitor

PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Outcome:
    """The browser that must not be signed in; or, where somebody is, who it must still be."""

    visitor: Visitor
    stays: str | None = None

    @property
    def is_harmed(self) -> bool:
        return self.visitor.user_id != self.stays


def anothers_answer(stage: Stage) -> Outcome:
    answer = stage.visitor().pick()
    return _hostile(stage, stage.visitor(), answer)


def anothers_code(stage: Stage) -> Outcome:
    victim = stage.visitor()
    code = stage.visitor().pick()["code"]
    return _hostile(stage, victim, {"code": code, "state": _state(victim)})


def anothers_code_for_somebody_signed_in(stage: Stage) -> Outcome:
    victim = stage.visitor()
    victim.sign_in("cleo")
    stays = victim.user_id
    User.objects.create(username="ada", tid=User.objects.get().tid, oid=PEOPLE["ada"].oid)
    code = stage.visitor().pick()["code"]
    return replace(_hostile(stage, victim, {"code": code, "state": _state(victim)}), stays=stays)


def replayed(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    stage.entra.control.reuse_codes()
    answer = visitor.pick()
    visitor.call_back(answer)
    visitor.browser.cookies.clear()
    return _hostile(stage, visitor, answer)


def replayed_with_the_old_session(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    stage.entra.control.reuse_codes()
    answer = visitor.pick()
    old = dict(visitor.session)
    visitor.call_back(answer)
    visitor.session.flush()
    visitor.browser.cookies.clear()
    visitor.start()
    visitor.change_session(**old)
    return _hostile(stage, visitor, answer)


def of_age(seconds: float) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        visitor = stage.visitor()
        answer = visitor.pick()
        states = visitor.session["oidc_states"]
        states[answer["state"]]["added_on"] = time.time() - seconds
        visitor.change_session(oidc_states=states)
        return _hostile(stage, visitor, answer)

    return run


def code_of_another_tab(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    first = visitor.pick()
    return _hostile(stage, visitor, {"code": first["code"], "state": _state(visitor)})


def redeemed_code(stage: Stage) -> Outcome:
    attacker = stage.visitor()
    answer = attacker.pick()
    attacker.call_back(answer)
    visitor = stage.visitor()
    return _hostile(stage, visitor, {"code": answer["code"], "state": _state(visitor)})


def expired_code(stage: Stage) -> Outcome:
    stage.entra.control.set_lifetimes(code=0.001)
    visitor = stage.visitor()
    return _hostile(stage, visitor, visitor.pick())


def with_state(change: Callable[[str], Any]) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        visitor = stage.visitor()
        answer = visitor.pick()
        changed = change(answer["state"])
        query = {"code": answer["code"]} | ({} if changed is None else {"state": changed})
        return _hostile(stage, visitor, query)

    return run


def token_in_place_of_a_code(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    forged = stage.entra.control.mint_id_token(person="ada")
    return _hostile(stage, visitor, {"id_token": forged, "state": _state(visitor)})


def forged_token_as_code(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    forged = stage.entra.control.mint_id_token(person="ada")
    return _hostile(stage, visitor, {"code": forged, "state": _state(visitor)})


def with_error(error: str) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        visitor = stage.visitor()
        return _hostile(stage, visitor, visitor.pick() | {"error": error})

    return run


def unsolicited(query: str) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        victim = stage.visitor()
        victim.sign_in("cleo")
        stays = victim.user_id
        return replace(_hostile(stage, victim, query), stays=stays)

    return run


def renewed_as_somebody_else(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    visitor.sign_in("cleo")
    User.objects.create(username="ada", tid=User.objects.get().tid, oid=PEOPLE["ada"].oid)
    visitor.change_session(**{renewal.TOKEN_ENDS_KEY: time.time() - 1})
    away = visitor.get(visitor.get("/").headers["Location"]).headers["Location"]
    stage.entra.control.queue_id_token(claims={"oid": PEOPLE["ada"].oid})
    back = visitor.browser.get(away, allow_redirects=False, timeout=10).headers["Location"]
    return _hostile(stage, visitor, back.partition("?")[2])


def deactivated(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    visitor.sign_in()
    User.objects.update(is_active=False)
    visitor.session.flush()
    visitor.browser.cookies.clear()
    return _hostile(stage, visitor, visitor.pick())


def token_of(**claims: object) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        visitor = stage.visitor()
        stage.entra.control.queue_id_token(claims=claims)
        return _hostile(stage, visitor, visitor.pick())

    return run


def guest(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    answer = visitor.pick("gus")
    stage.settings.ALLOW_GUESTS = stage.settings.ALLOW_GUESTS is None
    return _hostile(stage, visitor, answer)


def nobodys_group(stage: Stage) -> Outcome:
    visitor = stage.visitor()
    answer = visitor.pick("dan")
    stage.settings.ENTRA_REQUIRE_MAPPED_GROUP = stage.settings.ENTRA_REQUIRE_MAPPED_GROUP is False
    return _hostile(stage, visitor, answer)


def revoked_session(stage: Stage) -> Outcome:
    thief = stage.visitor()
    thief.sign_in()
    thief.change_session(signed_in_at=time.time() - 60)
    stage.entra.control.revoke_sessions("ada")
    User.objects.update(groups_fetched_at="2026-01-01T00:00:00Z")
    stage.mark()
    thief.get("/signed-in-again/")
    return Outcome(thief)


def password_form(
    query: str = "", *, password: str = PASSWORD, **account: bool
) -> Callable[[Stage], Outcome]:
    def run(stage: Stage) -> Outcome:
        stage.settings.BREAK_GLASS_SIGN_IN = True
        stage.settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
        root = User(username="root", is_staff=True, is_superuser=True)
        root.set_password(PASSWORD)
        for name, value in account.items():
            setattr(root, name, value)
        root.save()
        visitor = stage.visitor()
        visitor.get("/admin/login/")
        code = stage.visitor().pick()["code"] if query else ""
        stage.mark(password=password)
        visitor.post(f"/admin/login/{query.format(code=code)}", username="root", password=password)
        return Outcome(visitor)

    return run


def _hostile(stage: Stage, visitor: Visitor, query: dict[str, Any] | str) -> Outcome:
    given = query if isinstance(query, dict) else {}
    stage.mark(**{name: value for name, value in given.items() if _is_ours(name, value)})
    visitor.call_back(query)
    return Outcome(visitor)


def _is_ours(name: str, value: object) -> bool:
    return isinstance(value, str) and name in {"code", "state"} and value != "made-up"


def _state(visitor: Visitor) -> str:
    visitor.start()
    return str(list(visitor.session["oidc_states"])[-1])
