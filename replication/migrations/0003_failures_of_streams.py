"""A failure is a stream's, and no longer its whole flow's."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.utils import timezone


def keep_failures(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Until now a flow had one collection."""
    failures = apps.get_model("replication", "StreamFailure").objects
    flows = apps.get_model("replication", "Flow").objects
    columns = ("id", "collection", "failure", "failed_at")
    for flow_id, collection, error, failed_at in flows.values_list(*columns):
        if error:
            failures.create(
                flow_id=flow_id,
                collection=collection,
                error=error,
                failed_at=failed_at or timezone.now(),
            )


class Migration(migrations.Migration):
    dependencies = [("replication", "0002_scope_rules_and_modes")]

    operations = [
        migrations.CreateModel(
            name="StreamFailure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("collection", models.CharField(max_length=255)),
                ("error", models.TextField()),
                ("failed_at", models.DateTimeField()),
                (
                    "flow",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="failures",
                        to="replication.flow",
                    ),
                ),
            ],
            options={
                "ordering": ["flow", "collection"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("flow", "collection"), name="replication_streamfailure_stream"
                    )
                ],
            },
        ),
        migrations.RunPython(keep_failures, migrations.RunPython.noop),
        migrations.RemoveField(model_name="flow", name="failure"),
        migrations.RemoveField(model_name="flow", name="failed_at"),
    ]
