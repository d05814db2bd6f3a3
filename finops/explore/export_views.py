"""What the explorer shows, as files. For analysts, within what each of them may see."""

from collections.abc import Iterator

import structlog
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guard import GuardedRequest, require_permission
from accounts.levels import PermissionLevel
from finops.costs.explore import Answer, explore
from finops.costs.explore_rows import extra_columns, stream_rows
from finops.explore.exports import CSV, STREAMED, XLSX, csv_of, focus_csv, sheet_of, xlsx_of
from finops.explore.query_string import parse
from finops.explore.views import over_costs
from finops.models import Dataset

logger = structlog.get_logger(__name__)


@require_safe
@never_cache
@require_permission(PermissionLevel.ANALYST)
@over_costs
def as_csv(request: GuardedRequest, dataset: Dataset) -> HttpResponseBase:
    """The explorer's table as CSV."""
    answer = _answer(request, dataset)
    return _file(StreamingHttpResponse(csv_of(sheet_of(answer)), CSV), _name(answer, "csv"))


@require_safe
@never_cache
@require_permission(PermissionLevel.ANALYST)
@over_costs
def as_xlsx(request: GuardedRequest, dataset: Dataset) -> HttpResponseBase:
    """The explorer's table as XLSX."""
    answer = _answer(request, dataset)
    return _file(HttpResponse(xlsx_of(sheet_of(answer)), XLSX), _name(answer, "xlsx"))


@require_safe
@never_cache
@require_permission(PermissionLevel.ANALYST)
@over_costs
def as_focus(request: GuardedRequest, dataset: Dataset) -> HttpResponseBase:
    """The rows behind what the explorer shows, as FOCUS CSV, as they come."""
    scope = request.permission.scope_for(PermissionLevel.ANALYST)
    question = parse(request.GET).question
    extra = extra_columns(dataset, scope, question)
    lines = focus_csv(stream_rows(dataset, scope, question, STREAMED), extra)
    response = StreamingHttpResponse(_told(lines, dataset.name), CSV)
    return _file(response, f"{dataset.name}-focus.csv")


def _answer(request: GuardedRequest, dataset: Dataset) -> Answer:
    scope = request.permission.scope_for(PermissionLevel.ANALYST)
    return explore(dataset, scope, parse(request.GET).question)


def _told(lines: Iterator[str], dataset: str) -> Iterator[str]:
    """The lines; a failure half way is logged, and breaks the connection off.

    So nobody takes the part that arrived for the whole.
    """
    try:
        yield from lines
    except Exception:
        logger.exception("export_broken_off", dataset=dataset)
        raise


def _name(answer: Answer, ending: str) -> str:
    period = answer.frame.period
    return f"{answer.dataset}-{period.start}-{period.last}.{ending}"


def _file(response: HttpResponseBase, name: str) -> HttpResponseBase:
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
