"""Saved views of the explorer: a question under a name, one's own or shared with everybody.

A view holds a question and no figure: who opens it is answered from the rows that they may see.
"""

from dataclasses import replace

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.models import User
from accounts.scopes import Scope
from finops.costs.explore_values import known_values
from finops.costs.question import Filter, Question
from finops.models import Dataset, DefaultView, SavedView

LONGEST_NAME = 80
LONGEST_QUERY = 8_000


def views_for(person: User, dataset: Dataset) -> QuerySet[SavedView]:
    """What ``person`` may open: their own views, and those that others share."""
    views = SavedView.objects.filter(Q(owner=person) | Q(shared=True), dataset=dataset)
    return views.select_related("owner")


def default_for(person: User, dataset: Dataset) -> SavedView | None:
    """The view to begin with; None where there is none, or where it is no longer shared."""
    return views_for(person, dataset).filter(default_of__person=person).first()


@transaction.atomic
def save_view(*, owner: User, dataset: Dataset, name: str, query: str, shared: bool) -> SavedView:
    """Save a question; the owner's view of the same name is replaced."""
    view, _ = SavedView.objects.update_or_create(
        owner=owner, dataset=dataset, name=name, defaults={"query": query, "shared": shared}
    )
    return view


def begin_with(*, person: User, view: SavedView | None) -> None:
    """Let the explorer open with ``view``, which ``person`` may open; None: with none."""
    if view is None:
        DefaultView.objects.filter(person=person).delete()
    else:
        DefaultView.objects.update_or_create(person=person, defaults={"view": view})


def within(question: Question, *, dataset: Dataset, scope: Scope) -> Question:
    """The question as somebody with ``scope`` may read it.

    Filters lose the values that no row within the scope has: they let nothing through there, and
    say what others' rows hold. Raises CostQueryFailed.
    """
    if scope.is_all:
        return question
    return replace(
        question,
        filters=tuple(
            Filter(one.dimension, known_values(dataset, scope, one)) for one in question.filters
        ),
    )
