from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts import audit, mappings
from accounts.levels import PermissionLevel
from accounts.models import AuditEvent, GroupMapping, User


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


class GroupMappingForm(forms.ModelForm):  # type: ignore[type-arg]
    group_oid = forms.UUIDField(
        label="Group's object id",
        help_text="Entra admin centre → Groups → the group → Object Id. Names are not unique.",
    )

    class Meta:
        model = GroupMapping
        fields = ("group_oid", "display_name", "level", "note")

    def clean_group_oid(self) -> Any:
        value = self.cleaned_data["group_oid"]
        if value.int == 0:
            raise forms.ValidationError("The nil GUID is no group.")
        return value


@admin.register(GroupMapping)
class GroupMappingAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = GroupMappingForm
    list_display = ("display_name", "group_oid", "level", "note", "updated_at")
    list_filter = ("level",)
    search_fields = ("display_name", "group_oid", "note")

    def save_model(self, request: HttpRequest, obj: GroupMapping, form: Any, change: bool) -> None:
        values: dict[str, Any] = {
            "group_oid": obj.group_oid,
            "level": PermissionLevel(obj.level),
            "display_name": obj.display_name,
            "note": obj.note,
            "actor": _user(request),
        }
        if change:
            mappings.update_mapping(obj, **values)
        else:
            obj.pk = mappings.create_mapping(**values).pk

    def delete_model(self, request: HttpRequest, obj: GroupMapping) -> None:
        mappings.delete_mappings([obj], actor=_user(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[GroupMapping]) -> None:
        mappings.delete_mappings(queryset, actor=_user(request))


@admin.register(AuditEvent)
class AuditEventAdmin(_ReadOnly):
    list_display = ("at", "kind", "reason", "user_name", "user_oid", "resource", "ip")
    list_filter = ("kind", "reason")
    search_fields = ("user_name", "user_oid", "resource", "request_id")
    date_hierarchy = "at"


def _user(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _actor(request: HttpRequest) -> dict[str, str]:
    user = _user(request)
    return {
        "actor_oid": str(user.oid or "") if user else "",
        "actor_name": user.get_full_name() if user else "",
    }
