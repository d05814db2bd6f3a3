"""Many at once, against the site as it is deployed: two processes, eight threads each."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
import requests

from sandbox.entra.directory import PEOPLE
from tests.accounts.attacks.gunicorn import DeployedSite
from tests.accounts.attacks.visitor import Visitor
from tests.accounts.journey import CALLBACK
from tests.sandbox.entra_fixtures import Entra

T = TypeVar("T")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, _entra_server: Entra) -> Iterator[DeployedSite]:
    with DeployedSite(tmp_path_factory.mktemp("deployed"), _entra_server) as running:
        yield running


@pytest.fixture
def visitors(site: DeployedSite) -> Iterator[Callable[[int], list[Visitor]]]:
    made: list[Visitor] = []

    def make(number: int) -> list[Visitor]:
        made.extend(Visitor(site.address) for _ in range(number))
        return made[-number:]

    yield make
    for visitor in made:
        visitor.close()


def at_once(number: int, act: Callable[[int], T]) -> list[T]:
    """What each of ``number`` threads gets, all beginning at the same moment."""
    ready = Barrier(number)

    def run(index: int) -> T:
        ready.wait(timeout=60)
        return act(index)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))


def test_fifty_first_sign_ins_of_one_person_make_one_user(
    site: DeployedSite, visitors: Callable[[int], list[Visitor]]
) -> None:
    browsers = visitors(50)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda browser: browser.pick("eva"), browsers))

    responses = at_once(50, lambda n: browsers[n].call_back(answers[n]))

    assert Counter(response.status_code for response in responses) == {302: 50}
    oid = PEOPLE["eva"].oid.replace("-", "")
    assert site.query(f"SELECT count(*) FROM accounts_user WHERE oid = '{oid}'") == [(1,)]
    signed_in = "SELECT count(*) FROM accounts_auditevent WHERE kind = 'signed_in'"
    assert site.query(f"{signed_in} AND user_oid = '{PEOPLE['eva'].oid}'") == [(50,)]


@pytest.mark.parametrize("attempt", range(5))
def test_one_state_used_by_many_at_once_signs_in_once(
    site: DeployedSite,
    entra: Entra,
    visitors: Callable[[int], list[Visitor]],
    attempt: int,
) -> None:
    entra.control.reuse_codes()
    (browser,) = visitors(1)
    answer = browser.pick("ben")
    cookies = browser.browser.cookies.get_dict()
    before = refused(site)

    def call_back(_index: int) -> requests.Response:
        return requests.get(
            f"{site.address}{CALLBACK}",
            params=answer,
            cookies=cookies,
            allow_redirects=False,
            timeout=60,
        )

    responses = at_once(8, call_back)

    assert Counter(response.status_code for response in responses) == {302: 1, 400: 7}
    assert set(refused(site)[len(before) :]) <= {"state_used", "state_unknown"}
    assert len(refused(site)) == len(before) + 7


def refused(site: DeployedSite) -> list[str]:
    rows = site.query(
        "SELECT reason FROM accounts_auditevent WHERE kind = 'sign_in_refused' ORDER BY id"
    )
    return [str(reason) for (reason,) in rows]
