"""What load balancers and supervisors ask."""

from django.db import DatabaseError, connection
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guard import public
from finops.metrics import may_read
from replication.status import stuck_flows


@public
@never_cache
@require_safe
def healthz(_request: HttpRequest) -> HttpResponse:
    """Answer 200 when this process reaches its database, else 503. Says nothing else."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("database unreachable\n", status=503, content_type="text/plain")
    return HttpResponse("ok\n", content_type="text/plain")


@public  # to METRICS_ALLOWED_NETWORKS; whoever watches has no session
@never_cache
@require_safe
def flows(request: HttpRequest) -> HttpResponse:
    """Answer 200 when every enabled flow gets on, else 503 with a line for each that does not.

    For alarms, not for load balancers: a restart of this process mends no flow.
    """
    if not may_read(request):
        raise Http404
    try:
        lines = [str(stuck) for stuck in stuck_flows()]
    except DatabaseError:
        lines = ["database unreachable"]
    text = "\n".join(lines or ["ok"]) + "\n"
    return HttpResponse(text, status=503 if lines else 200, content_type="text/plain")
