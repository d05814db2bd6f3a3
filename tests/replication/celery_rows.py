"""Makes the database of a test's own Celery workers: run as a process with their environment."""

import sys

import django
from django.core.management import call_command


def main(uri: str, flow_id: str, source_database: str, destination_database: str) -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    from replication.models import Connection, Flow

    method = "connection_string"
    source = Connection.objects.create(name="source", uri=uri, auth_method=method)
    destination = Connection.objects.create(name="destination", uri=uri, auth_method=method)
    Flow.objects.create(
        id=flow_id,
        name="costs",
        source=source,
        source_database=source_database,
        collection="rows",
        destination=destination,
        destination_database=destination_database,
        destination_collection="rows",
        partition_fields=["Day"],
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
