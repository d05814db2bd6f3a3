"""Good ID tokens sign in, whatever they say of a name. (Hostile ones: tests/accounts/attacks.)"""

import pytest

from accounts.models import User
from sandbox.entra.directory import TENANT_ID
from sandbox.entra.hostile import Flaw
from tests.accounts.journey import Journey
from tests.sandbox.entra_fixtures import Entra

pytestmark = pytest.mark.django_db


def test_the_untouched_token_signs_in(journey: Journey, entra: Entra) -> None:
    entra.control.queue_id_token(Flaw.NONE, claims={"tid": TENANT_ID})

    assert journey.sign_in("ada").status_code == 302
    assert journey.is_signed_in


def test_a_rotated_key_is_found(journey: Journey, entra: Entra) -> None:
    journey.sign_in("ada")
    entra.control.rotate_keys()

    assert journey.sign_in("ben").status_code == 302


def test_a_name_cannot_forge_a_line_or_turn_the_page_around(journey: Journey, entra: Entra) -> None:
    entra.control.queue_id_token(claims={"name": "Ada\r\n\u202eOlleh\x00 " + "x" * 500})

    journey.sign_in("ada")

    assert User.objects.get().display_name == ("AdaOlleh " + "x" * 500)[:256]
