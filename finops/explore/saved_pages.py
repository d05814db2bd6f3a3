"""The pages of saved views: the list, and what is done with a view."""

from collections.abc import Callable
from functools import wraps

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts.guard import GuardedRequest, has_permission, require_permission
from accounts.levels import PermissionLevel
from finops.context import shown_dataset
from finops.explore.links import explore_url
from finops.explore.query_string import parse
from finops.explore.query_string import render as query_of
from finops.explore.saved import (
    LONGEST_NAME,
    LONGEST_QUERY,
    begin_with,
    default_for,
    save_view,
    views_for,
    within,
)
from finops.explore.views import over_costs
from finops.models import Dataset, SavedView

LIST = "finops:explore-views"


class NameForm(forms.Form):
    """The name of a view."""

    name = forms.CharField(max_length=LONGEST_NAME)


class SaveForm(NameForm):
    """A view to be saved."""

    query = forms.CharField(max_length=LONGEST_QUERY)
    shared = forms.BooleanField(required=False)
    default = forms.BooleanField(required=False)


@require_safe
@never_cache
@require_permission(PermissionLevel.VIEWER)
@over_costs
def views(request: GuardedRequest, dataset: Dataset) -> HttpResponse:
    """One's own views and the shared ones."""
    return render(
        request,
        "finops/explore_views.html",
        {
            "views": views_for(request.user, dataset),
            "default": default_for(request.user, dataset),
            "analyst": has_permission(request, PermissionLevel.ANALYST),
        },
    )


@require_safe
@never_cache
@require_permission(PermissionLevel.VIEWER)
@over_costs
def opened(request: GuardedRequest, dataset: Dataset, pk: int) -> HttpResponse:
    """Lead to the question of a view, as this person may read it."""
    view = get_object_or_404(views_for(request.user, dataset), pk=pk)
    return redirect(address_of(request, dataset, view))


def address_of(request: GuardedRequest, dataset: Dataset, view: SavedView) -> str:
    """Where a view leads this person."""
    scope = request.permission.scope_for(PermissionLevel.VIEWER)
    question = parse(QueryDict(view.query)).question
    return explore_url(within(question, dataset=dataset, scope=scope))


@require_POST
@require_permission(PermissionLevel.VIEWER)
@over_costs
def save(request: GuardedRequest, dataset: Dataset) -> HttpResponseBase:
    """Save what is shown under a name; sharing it is for analysts."""
    form = SaveForm(request.POST)
    question = parse(QueryDict(request.POST.get("query", ""))).question
    if not form.is_valid():
        messages.error(request, f"A view needs a name of at most {LONGEST_NAME} characters.")
        return redirect(explore_url(question))
    view = save_view(
        owner=request.user,
        dataset=dataset,
        name=form.cleaned_data["name"],
        query=query_of(question),
        shared=form.cleaned_data["shared"] and has_permission(request, PermissionLevel.ANALYST),
    )
    if form.cleaned_data["default"]:
        begin_with(person=request.user, view=view)
    messages.success(request, f"Saved as “{view.name}”.")
    return redirect(explore_url(question))


Change = Callable[[GuardedRequest, SavedView], str]


def changing(change: Change) -> Callable[..., HttpResponseBase]:
    """A view that changes one of a person's own views and says what it did."""

    @require_POST
    @require_permission(PermissionLevel.VIEWER)
    @wraps(change)
    def changed(request: GuardedRequest, pk: int) -> HttpResponseBase:
        view = get_object_or_404(SavedView, pk=pk, owner=request.user)
        messages.success(request, change(request, view))
        return redirect(LIST)

    return changed


@changing
def rename(request: GuardedRequest, view: SavedView) -> str:
    """Give a view another name."""
    form = NameForm(request.POST)
    if not form.is_valid():
        return f"“{view.name}” keeps its name: one has at most {LONGEST_NAME} characters."
    taken = views_for(request.user, view.dataset).filter(
        owner=request.user, name=form.cleaned_data["name"]
    )
    if taken.exclude(pk=view.pk).exists():
        return f"“{view.name}” keeps its name: you have another view of that name."
    view.name = form.cleaned_data["name"]
    view.save(update_fields=["name"])
    return f"The view is now called “{view.name}”."


@changing
def delete(_request: GuardedRequest, view: SavedView) -> str:
    """Delete a view."""
    view.delete()
    return f"“{view.name}” is deleted."


@changing
def share(request: GuardedRequest, view: SavedView) -> str:
    """Share a view with everybody, which is for analysts, or keep it to oneself again."""
    if not view.shared and not has_permission(request, PermissionLevel.ANALYST):
        raise PermissionDenied
    view.shared = not view.shared
    view.save(update_fields=["shared"])
    if view.shared:
        return f"“{view.name}” is shared. Everybody sees their own figures in it."
    return f"“{view.name}” is yours alone."


@require_POST
@require_permission(PermissionLevel.VIEWER)
def default(request: GuardedRequest, pk: int) -> HttpResponseBase:
    """Begin with a view that one may open; with none, if it is that one already."""
    dataset = shown_dataset(request)
    if dataset is None:
        return redirect(LIST)
    view = get_object_or_404(views_for(request.user, dataset), pk=pk)
    is_default = default_for(request.user, dataset) == view
    begin_with(person=request.user, view=None if is_default else view)
    return redirect(LIST)
