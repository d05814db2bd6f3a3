"""Flows in the Django admin: what is copied, how it is going, and what can be asked of it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import models
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from replication.flow_panel import panel_of
from replication.letter_page import LetterPage, NotAsked, act_on, letters_of
from replication.models import Flow
from replication.status import FlowStatus, status_of
from replication.steering import pause, remove, resume, skip_to_now, snapshot_again

_CHANGE = "admin:replication_flow_change"


@admin.register(Flow)
class FlowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    list_display = ["name", "enabled", "state", "copied", "events", "lag", "last_error"]
    list_filter = ["enabled"]
    list_select_related = ["source", "destination"]
    search_fields = ["name"]
    # Every row asks its destination how the flow is going.
    list_per_page = 25
    actions = ["pause", "resume"]
    change_form_template = "admin/replication/flow/form.html"
    formfield_overrides = {
        models.JSONField: {"widget": forms.Textarea(attrs={"rows": 3, "cols": 60})}
    }
    fieldsets = [
        (None, {"fields": ["name", "enabled"]}),
        ("Source", {"fields": ["source", "source_database", "collection"]}),
        (
            "Destination",
            {"fields": ["destination", "destination_database", "destination_collection"]},
        ),
        (
            "What is copied",
            {"fields": ["filter", "field_rules", "hash_key_ref", "copy_indexes"]},
        ),
        (
            "Behaviour",
            {
                "fields": [
                    "partition_fields",
                    "on_history_lost",
                    "beyond_history",
                    "on_poison",
                    "write_mode",
                ]
            },
        ),
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

    # --- one flow ---------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, Callable[..., HttpResponse]] = {
            "snapshot": self.snapshot_view,
            "skip": self.skip_view,
            "letters": self.letters_view,
        }
        own = [
            path(
                f"<uuid:pk>/{name}/",
                self.admin_site.admin_view(view),
                name=f"replication_flow_{name}",
            )
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any | None = None,
    ) -> HttpResponse:
        # A form that was refused need not ask the clusters again.
        if obj is not None and request.method == "GET":
            context["panel"] = panel_of(obj, _status(obj))
        return super().render_change_form(request, context, add, change, form_url, obj)

    def snapshot_view(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Ask, then copy everything again."""
        flow = self._flow(request, pk)
        if request.method == "POST":
            snapshot_again(Flow.objects.filter(pk=flow.pk))
            self.log_change(request, flow, "Asked for a new snapshot.")
            self.message_user(request, "A new snapshot was asked for; a worker begins it soon.")
            return _back(flow)
        return self._page(request, flow, "snapshot", f"Copy {flow.name} again?")

    def skip_view(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Leave out all changes up to now, after the flow's name was typed."""
        flow = self._flow(request, pk)
        typed = request.POST.get("name", "")
        if request.method == "POST" and typed.strip() == flow.name:
            skip_to_now(Flow.objects.filter(pk=flow.pk))
            self.log_change(request, flow, "Asked to skip all changes up to now.")
            text = "The changes up to now are left out. The copy is not whole until a new snapshot."
            self.message_user(request, text, messages.WARNING)
            return _back(flow)
        return self._page(
            request,
            flow,
            "skip",
            f"Leave out changes of {flow.name}?",
            wrong=request.method == "POST",
        )

    def letters_view(self, request: HttpRequest, pk: object) -> HttpResponse:
        """Show dead letters without their documents; try some again, or forget them."""
        flow = self._flow(request, pk)
        if request.method == "POST":
            try:
                told = act_on(flow, request.POST.get("action", ""), request.POST.getlist("letter"))
            except NotAsked as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, flow, told)
                self.message_user(request, told)
            return HttpResponseRedirect(request.get_full_path())
        page: LetterPage = letters_of(flow)
        return self._page(request, flow, "letters", f"Dead letters of {flow.name}", page=page)

    def _flow(self, request: HttpRequest, pk: object) -> Flow:
        flow: Flow | None = self.get_object(request, str(pk))
        if flow is None or not self.has_change_permission(request, flow):
            raise Http404
        return flow

    def _page(
        self, request: HttpRequest, flow: Flow, name: str, title: str, **more: Any
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "flow": flow,
            **more,
        }
        return TemplateResponse(request, f"admin/replication/flow/{name}.html", context)


def _back(flow: Flow) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse(_CHANGE, args=[flow.pk]))


def _status(flow: Flow) -> FlowStatus:
    """Ask once for all columns of a row."""
    known: FlowStatus | None = getattr(flow, "_seen_status", None)
    if known is None:
        known = status_of(flow)
        flow._seen_status = known  # type: ignore[attr-defined] # lives as long as the row does
    return known
