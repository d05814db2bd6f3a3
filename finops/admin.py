from django import forms
from django.contrib import admin
from django.http import HttpRequest

from accounts.levels import PermissionLevel
from accounts.permissions import UserPermission
from finops.models import Dataset, Segment
from replication.status import SeveralCollections, UnknownFlow, destination_of


class DatasetForm(forms.ModelForm):  # type: ignore[type-arg]  # Django's class takes none
    """Refuses flows that no data set can be read from."""

    def clean_flow(self) -> str:
        """One that is yet to be made is accepted."""
        name: str = self.cleaned_data["flow"]
        try:
            destination_of(name)
        except SeveralCollections as error:
            raise forms.ValidationError(str(error)) from error
        except UnknownFlow:
            return name
        return name


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none
    form = DatasetForm
    list_display = ["name", "flow", "version", "published_at"]
    readonly_fields = ["version", "published_at"]


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none
    """To look at: segments come from documents, and ``rebuild_segments`` makes them anew.

    Each sums up every sub account of its day, so it is for those who may see all rows.
    """

    list_display = ["day", "dataset", "version", "rows", "built_at"]
    list_filter = ["dataset"]
    date_hierarchy = "day"

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        permission: UserPermission | None = getattr(request, "permission", None)
        return permission is not None and permission.scope_for(PermissionLevel.ADMIN).is_all

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        return False
