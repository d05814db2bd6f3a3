from django.contrib import admin
from django.http import HttpRequest

from finops.models import Dataset, Segment


@admin.register(Dataset)
class DatasetAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none
    list_display = ["name", "flow", "version", "published_at"]
    readonly_fields = ["version", "published_at"]


@admin.register(Segment)
class SegmentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Django's class takes none
    """To look at: segments come from documents, and ``rebuild_segments`` makes them anew."""

    list_display = ["day", "dataset", "version", "rows", "built_at"]
    list_filter = ["dataset"]
    date_hierarchy = "day"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Segment | None = None) -> bool:
        return False
