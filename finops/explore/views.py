"""The explorer's pages. Each view: permitted, valid, read once, render."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import structlog
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers

from accounts.guard import GuardedRequest, has_permission, require_permission
from accounts.levels import PermissionLevel
from finops.context import shown_dataset
from finops.costs.dimensions import UnknownDimension, dimension_named
from finops.costs.engine import CostQueryFailed
from finops.costs.explore import explore
from finops.costs.explore_rows import rows_page
from finops.costs.explore_values import tag_dimensions, values_of
from finops.costs.overview import NoCostData, NoCostsInScope
from finops.costs.question import Comparison
from finops.explore.currencies import asked_by, settled
from finops.explore.form import form_of
from finops.explore.links import explore_url
from finops.explore.page import present
from finops.explore.query_string import parse
from finops.explore.rows_page import columns_of, place_of, present_rows
from finops.explore.saved import default_for, views_for
from finops.explore.values_page import present_values
from finops.models import Dataset
from finops.segments.store import SegmentFileMissing

logger = structlog.get_logger(__name__)

Page = Callable[..., HttpResponseBase]


def over_costs(view: Page) -> Page:
    """Give ``view`` the data set, and answer in its place where there is nothing to show."""

    @wraps(view)
    def answer(request: GuardedRequest, **parts: int) -> HttpResponseBase:
        dataset = shown_dataset(request)
        title = {"title": "Cost explorer"}
        if dataset is None:
            return render(request, "finops/no_dataset.html", title)
        try:
            return view(request, dataset, **parts)
        except NoCostsInScope:
            return render(request, "finops/no_rows.html", title)
        except NoCostData:
            return render(request, "finops/no_costs.html", title | {"dataset": dataset})
        except (CostQueryFailed, SegmentFileMissing) as failure:
            return unanswered(request, failure)

    return answer


def unanswered(request: HttpRequest, failure: Exception) -> HttpResponse:
    """Say that a query over the costs gave no answer, and why."""
    logger.error("cost_query_failed", exc_info=failure)
    return render(request, "503.html", {"reason": failure}, status=503)


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@require_permission(PermissionLevel.VIEWER)
@over_costs
def explorer(request: GuardedRequest, dataset: Dataset) -> HttpResponse:
    """Any cost, over any days, by any one or two dimensions, of any part of the rows."""
    scope = request.permission.scope_for(PermissionLevel.VIEWER)
    if not request.GET and (view := default_for(request.user, dataset)) is not None:
        return redirect("finops:explore-view", view.pk)
    asked = asked_by(request)
    found = explore(dataset, scope, asked.question)
    asked = settled(request, asked, found)
    context = {
        "page": present(found),
        "form": form_of(asked.question, found, tag_dimensions(dataset, scope)),
        "problems": asked.problems,
        "views": views_for(request.user, dataset),
        "analyst": has_permission(request, PermissionLevel.ANALYST),
        "scope": scope,
    }
    response = render(request, "finops/explore.html", context)
    response["HX-Push-Url"] = explore_url(asked.question)
    return response


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@require_permission(PermissionLevel.ANALYST)
@over_costs
def rows(request: GuardedRequest, dataset: Dataset) -> HttpResponse:
    """The rows behind the figures, a page at a time."""
    scope = request.permission.scope_for(PermissionLevel.ANALYST)
    question = replace(parse(request.GET).question, groups=(), comparison=Comparison.NONE)
    columns = columns_of(request.GET)
    after, before = (place_of(request.GET.get(name, "")) for name in ("after", "before"))
    page = rows_page(dataset, scope, question, columns, after=after, before=before)
    shown = present_rows(explore(dataset, scope, question), page, question, columns)
    return render(request, "finops/explore_rows.html", {"page": shown, "scope": scope})


@require_safe
@never_cache
@vary_on_headers("HX-Request")
@require_permission(PermissionLevel.VIEWER)
@over_costs
def values(request: GuardedRequest, dataset: Dataset) -> HttpResponse:
    """The values of one dimension, to filter by: a part of the explorer, or a page of its own."""
    scope = request.permission.scope_for(PermissionLevel.VIEWER)
    question, search = parse(request.GET).question, request.GET.get("q", "").strip()
    part = bool(getattr(request, "htmx", False))
    try:
        dimension = dimension_named(request.GET.get("dimension", ""))
    except UnknownDimension:
        return HttpResponse(status=204) if part else redirect(explore_url(question))
    page = present_values(values_of(dataset, scope, question, dimension, search), question, search)
    template = "finops/_explore_values.html" if part else "finops/explore_values.html"
    return render(request, template, {"page": page})
