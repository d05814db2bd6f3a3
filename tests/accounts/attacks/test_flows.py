"""Each hostile way of the table ends in a refusal, and would succeed without the guard it meets."""

import pytest

from tests.accounts.attacks.conftest import Stage, remember
from tests.accounts.attacks.flows import ATTACKS, FlowAttack

every_attack = pytest.mark.parametrize("attack", [remember(attack) for attack in ATTACKS])


def test_the_table_is_long_enough_and_names_nothing_twice() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 25


@every_attack
def test_a_hostile_way_leads_nowhere(stage: Stage, attack: FlowAttack) -> None:
    outcome = attack.run(stage)

    stage.assert_harmless(attack.reason)
    assert not outcome.is_harmed


@every_attack
def test_it_would_without_the_guard(
    stage: Stage, attack: FlowAttack, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack.weaken(monkeypatch, stage)

    assert attack.run(stage).is_harmed
