"""The cost pages. Each view: permitted, valid, read once, render."""

import structlog
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.guard import GuardedRequest, require_permission
from accounts.levels import PermissionLevel
from finops import data_page
from finops.choices import OverviewChoice
from finops.context import shown_dataset
from finops.costs.engine import CostQueryFailed
from finops.costs.overview import NoCostData, NoCostsInScope
from finops.models import Dataset
from finops.overview_page import present
from finops.segments.store import SegmentFileMissing

logger = structlog.get_logger(__name__)


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@require_permission(PermissionLevel.VIEWER)
def overview(request: GuardedRequest) -> HttpResponse:
    """What the month to the latest charge day costs, in one currency, within the scope."""
    dataset = shown_dataset(request)
    if dataset is None:
        return render(request, "finops/no_dataset.html")
    choice = OverviewChoice.of(request)
    try:
        costs = choice.load(dataset, request.permission.scope_for(PermissionLevel.VIEWER))
    except NoCostsInScope:
        return render(request, "finops/no_rows.html")
    except NoCostData:
        return render(request, "finops/no_costs.html", {"dataset": dataset})
    except (CostQueryFailed, SegmentFileMissing) as failure:
        return _unanswered(request, failure)
    if request.GET:
        choice.remember(request.user, costs)
    return render(request, "finops/overview.html", {"page": present(costs)})


@require_safe
@never_cache
@require_permission(PermissionLevel.ANALYST)
def data(request: GuardedRequest) -> HttpResponse:
    """Where the figures of every data set come from, what they lack, and what was wrong with it."""
    scope = request.permission.scope_for(PermissionLevel.ANALYST)
    datasets = list(Dataset.objects.all())
    if not datasets:
        return render(request, "finops/no_dataset.html")
    try:
        pages = [data_page.present(dataset, scope) for dataset in datasets]
    except (CostQueryFailed, SegmentFileMissing) as failure:
        return _unanswered(request, failure)
    return render(request, "finops/data.html", {"pages": pages, "scope": scope})


@require_safe
@never_cache
@require_permission(PermissionLevel.VIEWER)
def freshness(request: HttpRequest) -> HttpResponse:
    """The freshness alone, which open pages ask for; ``shown`` is the version that they show."""
    dataset = shown_dataset(request)
    shown = request.GET.get("shown", "")
    outdated = dataset is not None and shown not in ("", str(dataset.version))
    return render(request, "finops/freshness.html", {"shown": shown, "outdated": outdated})


def _unanswered(
    request: HttpRequest, failure: CostQueryFailed | SegmentFileMissing
) -> HttpResponse:
    """Say that a query over the costs gave no answer, and why."""
    logger.error("cost_query_failed", exc_info=failure)
    return render(request, "503.html", {"reason": failure}, status=503)
