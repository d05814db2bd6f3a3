"""Creates what an administrator would in the admin: connections, flow, data set, mappings."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from accounts.mappings import create_mapping
from accounts.models import GroupMapping
from accounts.permissions import PermissionLevel
from finops.models import Dataset
from replication.models import Connection, Flow
from sandbox.entra import directory

FLOW = "costs"
GROUPS = {
    directory.GROUP_ADMIN: ("FinOps administrators", PermissionLevel.ADMIN),
    directory.GROUP_ANALYST: ("FinOps analysts", PermissionLevel.ANALYST),
    directory.GROUP_VIEWER: ("Cost viewers", PermissionLevel.VIEWER),
}


class Command(BaseCommand):
    """Brings the rows up to date; what people changed in the admin besides stays."""

    help = "Used by 'manage.py sandbox'."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("source", help="URI of the source cluster")
        parser.add_argument("destination", help="URI of the destination cluster")

    def handle(self, *_: object, **options: Any) -> None:
        """Create or update the rows."""
        source, destination = (
            Connection.objects.update_or_create(
                name=name,
                defaults={
                    "uri": options[name],
                    "auth_method": "entra",
                    "tenant_id": settings.AZURE_TENANT_ID,
                    "client_id": settings.AZURE_CLIENT_ID,
                },
            )[0]
            for name in ("source", "destination")
        )
        Flow.objects.get_or_create(
            name=FLOW,
            defaults={
                "source": source,
                "source_database": "billing",
                "collection": "focus",
                "destination": destination,
                "destination_database": "reporting",
                "destination_collection": "focus",
                "partition_fields": ["ChargePeriodStart"],
            },
        )
        Dataset.objects.get_or_create(name="costs", defaults={"flow": FLOW})
        for oid, (name, level) in GROUPS.items():
            if not GroupMapping.objects.filter(group_oid=oid).exists():
                create_mapping(group_oid=oid, display_name=name, level=level, note="Sandbox")
