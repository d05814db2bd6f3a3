"""Connections in the Django admin, and a test of each, step by step."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from replication.auth.diagnosis.connections import Target, target_of
from replication.auth.diagnosis.mongo import Wanted, mongo_steps
from replication.auth.diagnosis.probe import MongoProbe
from replication.auth.diagnosis.steps import StepResult, run
from replication.models import Connection

# A page must answer before its web server gives it up, and only one step can take so long.
_STEP_SECONDS = 8.0


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ["name", "auth_method", "uri"]
    list_filter = ["auth_method"]
    search_fields = ["name"]
    change_form_template = "admin/replication/connection/form.html"
    fieldsets = [
        (None, {"fields": ["name", "uri", "auth_method"]}),
        (
            "Microsoft Entra ID",
            {
                "fields": ["tenant_id", "client_id", "scope"],
                "description": "Usually all empty: the identity of this installation signs in.",
            },
        ),
        (
            "As the address says",
            {
                "fields": ["secret_ref"],
                "description": "Only for a cluster that has no Microsoft Entra ID.",
            },
        ),
    ]

    def get_urls(self) -> list[URLPattern]:
        test = self.admin_site.admin_view(self.test_view)
        own = path("<int:pk>/test/", test, name="replication_connection_test")
        return [own, *super().get_urls()]

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        connection = self.get_object(request, str(pk))
        if connection is None or not self.has_view_permission(request, connection):
            raise Http404
        target = target_of(connection.name)
        write = "write" in request.POST and bool(target.writes)
        results = look_at(target, write=write) if request.method == "POST" else None
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Test the connection {connection.name}",
            "connection": connection,
            "results": results,
            "write": write,
            "writes": target.writes,
        }
        return TemplateResponse(request, "admin/replication/connection/test.html", context)


def look_at(target: Target, *, write: bool) -> list[StepResult]:
    """Walk the steps that ``manage.py test_auth --connection`` walks; the first failure ends it."""
    probe = MongoProbe(target.config, timeout=_STEP_SECONDS)
    try:
        steps = mongo_steps(target, probe, Wanted(watch=bool(target.reads), write=write))
        return list(run(steps, timeout=_STEP_SECONDS))
    finally:
        probe.close()
