"""The cost pages. Each view: permitted, valid, read once, render."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.guard import require_permission
from accounts.levels import PermissionLevel
from finops.choices import OverviewChoice
from finops.context import shown_dataset
from finops.costs.overview import NoCostData
from finops.overview_page import present


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@require_permission(PermissionLevel.VIEWER)
def overview(request: HttpRequest) -> HttpResponse:
    """What the month to the latest charge day costs, in one currency."""
    dataset = shown_dataset()
    if dataset is None:
        return render(request, "finops/no_dataset.html")
    choice = OverviewChoice.of(request)
    try:
        costs = choice.load(dataset)
    except NoCostData:
        return render(request, "finops/no_costs.html", {"dataset": dataset})
    if request.GET:
        choice.remember(request.session, costs)
    return render(request, "finops/overview.html", {"page": present(costs)})


@require_safe
@never_cache
@require_permission(PermissionLevel.VIEWER)
def freshness(request: HttpRequest) -> HttpResponse:
    """The freshness alone, which open pages ask for; ``shown`` is the version that they show."""
    dataset = shown_dataset()
    shown = request.GET.get("shown", "")
    outdated = dataset is not None and shown not in ("", str(dataset.version))
    return render(request, "finops/freshness.html", {"shown": shown, "outdated": outdated})
