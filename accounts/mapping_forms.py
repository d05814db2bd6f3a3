"""The forms that mappings are changed with. Each asks why."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from django import forms

from accounts import mapping_files
from accounts.grants import canonical_oid
from accounts.graph import GraphError
from accounts.group_directory import group_name
from accounts.mapping_files import ImportRefused
from accounts.mappings import MappingValues
from accounts.models import GroupMapping

logger = structlog.stdlib.get_logger("accounts.mapping_forms")

LARGEST_FILE = 1_000_000  # bytes


class SubAccountsField(forms.CharField):
    """Sub account ids, one a line; empty stands for all rows."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list as lines."""
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        """Read the lines. None for no id."""
        if isinstance(value, list | tuple):
            return list(value)
        try:
            found = mapping_files.sub_accounts((value or "").splitlines())
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None
        return None if found is None else list(found)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare the lists, not the text."""
        return bool(self.to_python(data) != initial)


class ReasonForm(forms.Form):
    """Why a change is made: kept in the history and in the audit log."""

    why = forms.CharField(
        label="Why",
        max_length=500,
        help_text="For the history: a ticket, who asked for it, what it is for.",
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )


class GroupMappingForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """One mapping, and why it is changed."""

    group_oid = forms.CharField(
        label="Group's object id",
        max_length=100,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
        help_text="Entra admin centre → Groups → the group → Object Id. Names are not unique.",
    )
    scope = SubAccountsField(
        label="Sub accounts",
        required=False,
        help_text="One SubAccountId a line, exactly as in the cost data. Empty: all rows.",
    )
    why = ReasonForm.base_fields["why"]

    class Meta:
        model = GroupMapping
        fields = ("group_oid", "display_name", "level", "scope", "expires_on", "note", "why")

    def clean_group_oid(self) -> UUID:
        """Read the id, whatever its case and braces."""
        try:
            return canonical_oid(self.cleaned_data["group_oid"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean(self) -> dict[str, Any]:
        """Look the group's name up where none was typed."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("group_oid") and not cleaned.get("display_name"):
            cleaned["display_name"] = self._name_of(cleaned["group_oid"])
        return cleaned

    def values(self) -> MappingValues:
        """Return what was entered. Call it once the form is valid."""
        return MappingValues.of(self.instance)

    def _name_of(self, oid: UUID) -> str:
        try:
            name = group_name(oid)
        except GraphError as error:
            # The mapping works without a name, and may be needed most while Graph is away.
            logger.warning("group_name_unknown", group=str(oid), error=type(error).__name__)
            return ""
        if name is None:
            self.add_error("group_oid", "The directory has no group with this object id.")
        return name or ""


class ImportForm(ReasonForm):
    """A file of mappings, sent as such, or as text once it was previewed."""

    file = forms.FileField(
        label="File", required=False, help_text="CSV or JSON, as the export writes it."
    )
    content = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)
    replace = forms.BooleanField(
        label="Remove the mappings of groups that are not in the file", required=False
    )
    field_order: Sequence[str] = ("file", "replace", "why", "content")

    def clean(self) -> dict[str, Any]:
        """Read the file; every problem of it is an error of the form."""
        cleaned = super().clean() or self.cleaned_data
        text = self._text(cleaned)
        if text is None:
            return cleaned
        try:
            wanted = mapping_files.read(text)
        except ImportRefused as refusal:
            raise forms.ValidationError(list(refusal.problems)) from None
        cleaned["content"] = text
        cleaned["changes"] = mapping_files.changes_for(wanted, replace=cleaned["replace"])
        return cleaned

    def _text(self, cleaned: dict[str, Any]) -> str | None:
        upload = cleaned.get("file")
        if upload is None:
            if not cleaned.get("content"):
                self.add_error("file", "Choose a file.")
            return cleaned.get("content") or None
        if upload.size > LARGEST_FILE:
            self.add_error("file", f"The file is larger than {LARGEST_FILE:,} bytes.")
            return None
        try:
            return str(upload.read().decode("utf-8-sig"))
        except UnicodeDecodeError:
            self.add_error("file", "The file is no text in UTF-8.")
            return None
