"""Connections and flows in the Django admin: what is copied, how it is going, pause and resume."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from replication.models import Connection, Flow
from replication.status import FlowStatus, status_of
from replication.steering import pause, remove, resume


@admin.register(Connection)
class ConnectionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ["name", "auth_method", "uri"]
    list_filter = ["auth_method"]
    search_fields = ["name"]
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


@admin.register(Flow)
class FlowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ["name", "enabled", "state", "copied", "events", "lag", "last_error"]
    list_filter = ["enabled"]
    list_select_related = ["source", "destination"]
    search_fields = ["name"]
    # Every row asks its destination how the flow is going.
    list_per_page = 25
    actions = ["pause", "resume"]
    readonly_fields = ["state", "copied", "events", "lag", "last_error"]
    fieldsets = [
        (None, {"fields": ["name", "enabled"]}),
        ("Source", {"fields": ["source", "source_database", "collection"]}),
        (
            "Destination",
            {"fields": ["destination", "destination_database", "destination_collection"]},
        ),
        ("Behaviour", {"fields": ["partition_fields", "on_history_lost"]}),
        ("Now", {"fields": ["state", "copied", "events", "lag", "last_error"]}),
    ]

    @admin.display(description="state")
    def state(self, flow: Flow) -> str:
        return str(_status(flow).state)

    @admin.display(description="snapshot")
    def copied(self, flow: Flow) -> str:
        status = _status(flow)
        if status.snapshot_copied is None:
            return "-"
        return f"{status.snapshot_copied:,} of {status.snapshot_total or 0:,}"

    @admin.display(description="events")
    def events(self, flow: Flow) -> str:
        return f"{_status(flow).events:,}"

    @admin.display(description="lag")
    def lag(self, flow: Flow) -> str:
        seconds = _status(flow).lag_seconds
        return "-" if seconds is None else f"{seconds:.1f} s"

    @admin.display(description="last error")
    def last_error(self, flow: Flow) -> str:
        return _status(flow).error or "-"

    @admin.action(description="Pause: stop copying, keep the position")
    def pause(self, request: HttpRequest, flows: QuerySet[Flow]) -> None:
        count = pause(flows)
        self.message_user(request, f"{count} paused. A running slice stops within seconds.")

    @admin.action(description="Resume: go on from the position, forget the last error")
    def resume(self, request: HttpRequest, flows: QuerySet[Flow]) -> None:
        count = resume(flows)
        self.message_user(request, f"{count} resumed. A worker takes them up within seconds.")

    def delete_model(self, request: HttpRequest, obj: Flow) -> None:
        remove(Flow.objects.filter(pk=obj.pk))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Flow]) -> None:
        remove(queryset)

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        # Whoever saves a flow has seen its error, and what they changed may have mended it.
        super().save_model(request, obj, form, change)
        obj.failures.all().delete()


def _status(flow: Flow) -> FlowStatus:
    """Ask once for all columns of a row."""
    known: FlowStatus | None = getattr(flow, "_seen_status", None)
    if known is None:
        known = status_of(flow)
        flow._seen_status = known  # type: ignore[attr-defined] # lives as long as the row does
    return known
