"""The admin of mappings: nothing is changed before its effect on people was shown."""

from collections.abc import Callable
from typing import Any, cast

from django.contrib import admin, messages
from django.db import IntegrityError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts import mapping_files, mappings
from accounts.graph import GraphError
from accounts.group_directory import LARGEST, find_groups
from accounts.mapping_forms import GroupMappingForm, ImportForm, ReasonForm
from accounts.mapping_history import history_of
from accounts.mappings import Change, LastAdminMapping
from accounts.models import GroupMapping, User
from accounts.preview import Preview, preview

CONFIRMED = "_confirmed"  # the mappings' version that was previewed
LOCK_OUT = "_lock_out"  # the break-glass superuser's confirmation
_BUTTONS = {"csrfmiddlewaretoken", CONFIRMED, LOCK_OUT, "_save", "_addanother", "_continue"}


@admin.register(GroupMapping)
class GroupMappingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    form = GroupMappingForm
    list_display = ("name", "group_oid", "level", "rows", "expires_on", "note")
    list_filter = ("level",)
    search_fields = ("display_name", "group_oid", "note")
    change_form_template = "admin/accounts/groupmapping/form.html"
    change_list_template = "admin/accounts/groupmapping/list.html"
    actions = ("delete_selected",)

    @admin.display(description="group", ordering="display_name")
    def name(self, mapping: GroupMapping) -> str:
        return mapping.display_name or "(no name)"

    @admin.display(description="rows")
    def rows(self, mapping: GroupMapping) -> str:
        if mapping.scope is None:
            return "all"
        return f"{len(mapping.scope)} sub account{'' if len(mapping.scope) == 1 else 's'}"

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, Callable[..., HttpResponse]] = {
            "remove/": self.remove_view,
            "groups/": self.groups_view,
            "import/": self.import_view,
            "export/<str:kind>/": self.export_view,
        }
        own = [
            path(
                route,
                self.admin_site.admin_view(view),
                name=f"accounts_groupmapping_{route.partition('/')[0]}",
            )
            for route, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    # --- one mapping ------------------------------------------------------------------------------

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the form; once it is valid, what it would do; once that is confirmed, save."""
        if request.method == "POST" and not is_confirmed(request):
            mapping = self.get_object(request, object_id or "") if object_id else None
            form_class = cast(
                type[GroupMappingForm], self.get_form(request, mapping, change=bool(mapping))
            )
            form = form_class(request.POST, instance=mapping)
            if form.is_valid() and (mapping or not object_id):
                stored = GroupMapping.objects.get(pk=mapping.pk) if mapping else None
                return self._preview(
                    request,
                    preview([Change(stored, form.values())]),
                    title="Change a mapping" if mapping else "Add a mapping",
                    entered={"display_name": form.cleaned_data["display_name"]},
                )
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (LastAdminMapping, IntegrityError) as refusal:
            return self._not_done(request, refusal)

    def save_model(self, request: HttpRequest, obj: GroupMapping, form: Any, change: bool) -> None:
        before = GroupMapping.objects.get(pk=obj.pk) if change else None
        saved = mappings.apply(
            [Change(before, form.values())],
            actor=actor_of(request),
            why=form.cleaned_data["why"],
            confirmed=LOCK_OUT in request.POST,
        )
        obj.pk = saved[0].pk

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show who changed what, when and why; also of a mapping that is gone."""
        context = {"title": "History of a mapping", "entries": history_of(object_id)}
        return self._page(request, "history", context)

    # --- removal ----------------------------------------------------------------------------------

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return self._to_remove([object_id])

    @admin.action(description="Remove selected mappings")
    def delete_selected(
        self, request: HttpRequest, queryset: QuerySet[GroupMapping]
    ) -> HttpResponse:
        return self._to_remove([str(pk) for pk in queryset.values_list("pk", flat=True)])

    def remove_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a removal would do, ask why, and remove."""
        ids = [one for one in request.GET.getlist("id") if one.isdecimal()]
        found = list(GroupMapping.objects.filter(pk__in=ids))
        if not found:
            messages.warning(request, "These mappings are gone already.")
            return HttpResponseRedirect(self._address("changelist"))
        form = ReasonForm(request.POST if request.method == "POST" else None)
        changes = [Change(row, None) for row in found]
        if request.method == "POST" and form.is_valid() and is_confirmed(request):
            return self._apply(request, changes, form.cleaned_data["why"])
        return self._preview(request, preview(changes), title="Remove mappings", form=form)

    # --- groups, import and export ----------------------------------------------------------------

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        """Find a group by its name in the directory."""
        wanted = request.GET.get("q", "").strip()
        context: dict[str, Any] = {"title": "Find a group", "q": wanted, "largest": LARGEST}
        try:
            found = find_groups(wanted)
        except GraphError:
            found, context["unavailable"] = [], True
        mapped = GroupMapping.objects.in_bulk([g.oid for g in found], field_name="group_oid")
        context["matches"] = [(group, mapped.get(group.oid)) for group in found]
        return self._page(request, "groups", context)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Read a file, show what it would do, and do it once that is confirmed."""
        form = ImportForm(request.POST or None, request.FILES or None)
        if request.method != "POST" or not form.is_valid():
            return self._page(request, "import", {"title": "Import mappings", "form": form})
        changes = form.cleaned_data["changes"]
        if not changes:
            messages.info(request, "The file says what is stored: nothing to change.")
            return HttpResponseRedirect(self._address("changelist"))
        if is_confirmed(request):
            return self._apply(request, changes, form.cleaned_data["why"])
        entered = {"content": form.cleaned_data["content"]}
        return self._preview(request, preview(changes), title="Import mappings", entered=entered)

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponse:
        """Download every mapping."""
        writers = {
            "csv": (mapping_files.to_csv, "text/csv; charset=utf-8"),
            "json": (mapping_files.to_json, "application/json"),
        }
        if kind not in writers:
            return HttpResponse(status=404)
        write, content_type = writers[kind]
        return HttpResponse(
            write(GroupMapping.objects.order_by("group_oid")),
            content_type=content_type,
            headers={"Content-Disposition": f'attachment; filename="mappings.{kind}"'},
        )

    # --- shared -----------------------------------------------------------------------------------

    def _preview(
        self,
        request: HttpRequest,
        outcome: Preview,
        *,
        title: str,
        entered: dict[str, str] | None = None,
        form: ReasonForm | None = None,
    ) -> HttpResponse:
        actor = actor_of(request)
        may_lock_out = actor is not None and actor.is_break_glass
        context = {
            "title": title,
            "outcome": outcome,
            "form": form,
            "hidden": () if form else _entered(request.POST, entered or {}),
            "stale": CONFIRMED in request.POST,
            "may_lock_out": may_lock_out,
            "can_go_on": may_lock_out or not outcome.locks_out,
        }
        return self._page(request, "preview", context)

    def _apply(self, request: HttpRequest, changes: list[Change], why: str) -> HttpResponse:
        try:
            mappings.apply(
                changes,
                actor=actor_of(request),
                why=why,
                confirmed=LOCK_OUT in request.POST,
            )
        except (LastAdminMapping, IntegrityError, GroupMapping.DoesNotExist) as refusal:
            return self._not_done(request, refusal)
        count = len(changes)
        messages.success(request, f"{count} mapping{'' if count == 1 else 's'} changed.")
        return HttpResponseRedirect(self._address("changelist"))

    def _not_done(self, request: HttpRequest, refusal: Exception) -> HttpResponse:
        known = isinstance(refusal, LastAdminMapping)
        text = str(refusal) if known else "Somebody else changed the mappings at the same moment."
        messages.error(request, f"Nothing was changed. {text}")
        return HttpResponseRedirect(self._address("changelist"))

    def _to_remove(self, ids: list[str]) -> HttpResponse:
        query = QueryDict(mutable=True)
        query.setlist("id", ids)
        return HttpResponseRedirect(f"{self._address('remove')}?{query.urlencode()}")

    def _address(self, page: str) -> str:
        return reverse(f"admin:accounts_groupmapping_{page}")

    def _page(self, request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
        whole = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, f"admin/accounts/groupmapping/{name}.html", whole)


def is_confirmed(request: HttpRequest) -> bool:
    """Return whether the preview that was confirmed is of the mappings as they are now."""
    return request.POST.get(CONFIRMED, "") == str(mappings.current_version())


def actor_of(request: HttpRequest) -> User | None:
    """Return the person who acts."""
    return request.user if isinstance(request.user, User) else None


def _entered(post: QueryDict, replaced: dict[str, str]) -> list[tuple[str, str]]:
    """Return what the confirming form sends again."""
    fields = {name: value for name, value in post.items() if name not in _BUTTONS}
    return [(name, str(value)) for name, value in {**fields, **replaced}.items()]
