"""``manage.py import_focus URI DATABASE FILE`` in a process of its own, for tests that kill it.

DATABASE_URL and VAR_DIR say where its own database is.
"""

import os
import sys

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")
django.setup()

from finops.models import Dataset  # noqa: E402 - Django has to be set up before models are imported
from replication.models import Connection, Flow  # noqa: E402

if __name__ == "__main__":
    uri, name, file = sys.argv[1:]
    call_command("migrate", "finops", verbosity=0)
    call_command("migrate", "replication", verbosity=0)
    cluster = Connection.objects.create(name="cluster", uri=uri, auth_method="connection_string")
    Flow.objects.create(
        name="costs",
        source=cluster,
        source_database=name,
        collection="focus",
        destination=cluster,
        destination_database=f"{name}_copy",
        destination_collection="focus",
    )
    Dataset.objects.create(name="costs", flow="costs")
    call_command("import_focus", file)
