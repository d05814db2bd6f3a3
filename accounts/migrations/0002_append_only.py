"""Let the database itself refuse to change an audit event, whoever asks.

Deleting stays possible below the ORM: events leave by age, and tests empty their tables.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

REFUSE = {
    "sqlite": [
        """
        CREATE TRIGGER accounts_auditevent_append_only BEFORE UPDATE ON accounts_auditevent
        BEGIN SELECT RAISE(ABORT, 'audit events are never changed'); END
        """
    ],
    "postgresql": [
        """
        CREATE FUNCTION accounts_auditevent_append_only() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'audit events are never changed'; END $$
        """,
        """
        CREATE TRIGGER accounts_auditevent_append_only BEFORE UPDATE ON accounts_auditevent
        FOR EACH ROW EXECUTE FUNCTION accounts_auditevent_append_only()
        """,
    ],
}
ALLOW = {
    "sqlite": ["DROP TRIGGER accounts_auditevent_append_only"],
    "postgresql": [
        "DROP TRIGGER accounts_auditevent_append_only ON accounts_auditevent",
        "DROP FUNCTION accounts_auditevent_append_only()",
    ],
}


def refuse_changes(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in REFUSE[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def allow_changes(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    for statement in ALLOW[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [migrations.RunPython(refuse_changes, allow_changes)]
