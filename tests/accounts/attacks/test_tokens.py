"""Each hostile token of the table is refused, and would come in without the check it meets."""

import pytest

from sandbox.entra.hostile import Recipe
from tests.accounts.attacks.conftest import Stage, remember
from tests.accounts.attacks.tokens import ATTACKS, TokenAttack
from tests.accounts.attacks.visitor import Visitor
from tests.accounts.attacks.weakened import believe_tokens

every_attack = pytest.mark.parametrize("attack", [remember(attack) for attack in ATTACKS])


def test_the_table_is_long_enough_and_names_nothing_twice() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


@every_attack
def test_a_hostile_token_signs_nobody_in(stage: Stage, attack: TokenAttack) -> None:
    visitor = present(stage, attack)

    stage.assert_harmless(attack.reason)
    assert visitor.user_id is None
    assert attack.reason.value in visitor.seen[-1].text


@every_attack
def test_it_would_without_the_check(
    stage: Stage, attack: TokenAttack, monkeypatch: pytest.MonkeyPatch
) -> None:
    believe_tokens(monkeypatch, attack.reason)

    assert present(stage, attack).user_id is not None


def present(stage: Stage, attack: TokenAttack) -> Visitor:
    visitor = stage.visitor()
    recipe = Recipe(attack.flaw, attack.claims, attack.headers)
    stage.entra.server.tenant.behaviour.next_id_tokens.append(recipe)
    answer = visitor.pick("ada")
    kept = visitor.session["oidc_states"][answer["state"]]
    stage.mark(**answer, nonce=kept["nonce"], verifier=kept["code_verifier"])
    visitor.call_back(answer)
    return visitor
