from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts import audit, audit_export
from accounts.explanation import explain_user, refresh
from accounts.mapping_admin import GroupMappingAdmin, actor_of
from accounts.models import AuditEvent, User
from accounts.open_sessions import end_sessions, sessions_of

__all__ = ["AuditEventAdmin", "GroupMappingAdmin", "UserAdmin"]


class _ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("display_name", "email", "is_active", "last_login", "groups_fetched_at")
    list_filter = ("is_active",)
    search_fields = ("display_name", "email", "oid")
    # An administrator may lock a person out, and let them in again; all else is Entra's.
    fields = (
        "display_name",
        "email",
        "is_active",
        "tid",
        "oid",
        "last_login",
        "date_joined",
        "groups_fetched_at",
        "group_oids",
    )
    readonly_fields = tuple(name for name in fields if name != "is_active")

    change_form_template = "admin/accounts/user/form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<int:pk>/explain/", view(self.explain_view), name="accounts_user_explain"),
            path("<int:pk>/refresh/", view(self.refresh_view), name="accounts_user_refresh"),
            path("<int:pk>/end/", view(self.end_view), name="accounts_user_end"),
        ]
        return [*own, *super().get_urls()]

    def explain_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Everything behind the person's level and scope, and the open sessions."""
        person = _person(pk)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Access of {person}",
            "person": person,
            "found": explain_user(person) if person.oid else None,
            "sessions": sessions_of(person),
        }
        return TemplateResponse(request, "admin/accounts/user/explain.html", context)

    def refresh_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask Graph for the person's groups now."""
        person = _person(pk)
        if request.method == "POST" and person.oid:
            messages.info(request, refresh(person))
        return HttpResponseRedirect(reverse("admin:accounts_user_explain", args=[pk]))

    def end_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """End every session of the person."""
        if request.method == "POST":
            count = end_sessions(_person(pk), actor=actor_of(request))
            messages.success(request, f"{count} session{'' if count == 1 else 's'} ended.")
        return HttpResponseRedirect(reverse("admin:accounts_user_explain", args=[pk]))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if "is_active" not in form.changed_data:
            return
        obj.save(update_fields=["is_active"])
        audit.log_change(
            AuditEvent.Kind.USER_CHANGED,
            **_actor(request),
            resource=f"user:{obj.oid or obj.get_username()}",
            details={"is_active": obj.is_active},
        )


@admin.register(AuditEvent)
class AuditEventAdmin(_ReadOnly):
    list_display = ("at", "kind", "reason", "user_name", "user_oid", "resource", "ip")
    list_filter = ("kind", "reason", ("at", admin.DateFieldListFilter))
    search_fields = ("user_name", "user_oid", "resource", "request_id")
    date_hierarchy = "at"
    show_full_result_count = False
    change_list_template = "admin/accounts/auditevent/list.html"

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        own = path("export/<str:kind>/", export, name="accounts_auditevent_export")
        return [own, *super().get_urls()]

    def export_view(self, request: HttpRequest, kind: str) -> StreamingHttpResponse:
        """Download what the list's filters and search select, all pages of it."""
        if kind not in _EXPORTS:
            raise Http404
        write, content_type = _EXPORTS[kind]
        events = self.get_changelist_instance(request).get_queryset(request)
        audit.log_change(
            AuditEvent.Kind.AUDIT_EXPORTED,
            **_actor(request),
            resource=f"audit.{kind}",
            details={"filters": sorted(request.GET)},
        )
        return StreamingHttpResponse(
            write(events.iterator(chunk_size=1000)),
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="audit.{kind}"'},
        )


_EXPORTS: dict[str, tuple[Callable[[Iterable[AuditEvent]], Iterator[str]], str]] = {
    "csv": (audit_export.as_csv, "text/csv; charset=utf-8"),
    "jsonl": (audit_export.as_jsonl, "application/jsonl; charset=utf-8"),
}


def _person(pk: int) -> User:
    found = User.objects.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found


def _actor(request: HttpRequest) -> dict[str, str]:
    user = actor_of(request)
    return {
        "actor_oid": str(user.oid or "") if user else "",
        "actor_name": user.get_full_name() if user else "",
    }
