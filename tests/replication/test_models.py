"""The admin's forms refuse what cannot work, beside the field that is wrong."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from pytest_django.fixtures import Settings

from replication.models import Connection, Flow
from replication.spec import Namespace

pytestmark = pytest.mark.django_db
TENANT = "7a1f0c52-3c1d-4d86-9b53-6f0f9d1c2e11"
CLUSTER = "mongodb+srv://costs.mongocluster.cosmos.azure.com/"


def errors_of(row: Connection | Flow) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as error:
        row.full_clean()
    return error.value.message_dict


def connection(**fields: str) -> Connection:
    fields = {"name": "billing", "uri": CLUSTER, "tenant_id": TENANT, **fields}
    return Connection(**fields)


def test_a_good_connection_is_accepted() -> None:
    connection().full_clean()
    connection(auth_method="connection_string", uri="mongodb://me@db.example/").full_clean()


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({"tenant_id": "contoso"}, "tenant_id", "expected a GUID"),
        ({"uri": "mongodb://evil.example/?tls=true"}, "uri", "may not be sent"),
        ({"scope": "https://graph.microsoft.com/.default"}, "scope", "accepts"),
        (
            {"uri": "mongodb://me:pw@db.example", "auth_method": "connection_string"},
            "uri",
            "stored",
        ),
        ({"secret_ref": "env:SECRET_KEY"}, "secret_ref", "MONGO_SECRET_"),
        ({"auth_method": "kerberos"}, "auth_method", "kerberos"),
    ],
)
def test_a_wrong_field_is_told_beside_it(fields: dict[str, str], field: str, expected: str) -> None:
    assert expected in " ".join(errors_of(connection(**fields))[field])


def flow(**fields: object) -> Flow:
    here, _ = Connection.objects.get_or_create(name="here", defaults={"uri": CLUSTER})
    there, _ = Connection.objects.get_or_create(name="there", defaults={"uri": CLUSTER})
    values: dict[str, object] = {
        "name": "costs",
        "source": here,
        "source_database": "billing",
        "collection": "rows",
        "destination": there,
        "destination_database": "billing",
        "destination_collection": "rows",
        **fields,
    }
    return Flow(**values)


def test_a_good_flow_is_accepted_and_becomes_a_stream() -> None:
    row = flow(partition_fields=["Day"], on_history_lost="stop")
    row.full_clean()
    spec = row.stream("rows")
    assert spec.source == Namespace("here", "billing", "rows")
    assert spec.key == f"{row.id}/here/billing.rows"
    assert (spec.partition_fields, spec.snapshot_again) == (("Day",), False)


def test_two_flows_may_not_write_the_same_destination() -> None:
    flow().save()
    second = flow(name="more", source_database="other")
    assert "Another flow already writes" in str(errors_of(second))
    with pytest.raises(IntegrityError):
        second.save()


def test_two_flows_may_copy_other_collections_under_their_own_names() -> None:
    flow(collection="rows_*", destination_collection="{collection}").save()
    second = flow(name="more", collection="days, months", destination_collection="{collection}")
    second.full_clean()
    second.save()
    third = flow(name="third", collection="*_7", destination_collection="{collection}")
    assert "Another flow already writes" in str(errors_of(third))


def test_a_flow_may_not_write_its_source_or_the_flows_own_records() -> None:
    here = Connection.objects.create(name="here", uri=CLUSTER)
    assert "is the source itself" in str(errors_of(flow(destination=here)))
    assert "own records" in str(errors_of(flow(destination_database="replication")))


@pytest.mark.parametrize("fields", ["Day", [1], [""], {"Day": 1}])
def test_partition_fields_are_a_list_of_names(fields: object) -> None:
    assert "list of field names" in str(errors_of(flow(partition_fields=fields)))


def test_a_filter_that_is_none_is_refused_beside_it() -> None:
    flow(filter={"ProviderName": {"$in": ["Microsoft"]}}).full_clean()
    assert "cannot use $where" in " ".join(errors_of(flow(filter={"$where": "1"}))["filter"])


@pytest.mark.parametrize("action", ["drop", "mask"])
def test_a_partition_field_cannot_be_hidden(action: str) -> None:
    rules = [{"field": "Day", "action": action}]
    told = errors_of(flow(field_rules=rules, partition_fields=["Day"]))["field_rules"]
    assert "Day is a partition field" in " ".join(told)
    flow(field_rules=rules, partition_fields=["Other"]).full_clean()


def test_a_key_that_can_be_guessed_is_refused(settings: Settings) -> None:
    settings.MONGO_SECRETS = {"MONGO_SECRET_SHORT": "x", "MONGO_SECRET_LONG": "x" * 16}
    rules = [{"field": "Owner", "action": "hash"}]
    told = errors_of(flow(field_rules=rules, hash_key_ref="env:MONGO_SECRET_SHORT"))
    assert "1 characters, expected 16" in " ".join(told["hash_key_ref"])
    flow(field_rules=rules, hash_key_ref="env:MONGO_SECRET_LONG").full_clean()
