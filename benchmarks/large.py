"""A data set as large as an enterprise's, as segments: for benchmarks of pages.

Thirteen months of made-up charges with the shape of the real ones: 60 sub accounts, 40 services, 12
regions, 50,000 resources of which each belongs to one sub account, service, region and team. DuckDB
makes the rows; the product's own code rolls them up, writes the files and publishes them.
"""

import time
from collections.abc import Iterator
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from finops.costs.periods import Period, months_before
from finops.models import Dataset
from finops.segments import manifest
from finops.segments.builder import drafts, write_files
from finops.segments.rows import ROWS_AT_ONCE, roll_up
from finops.segments.schema import SegmentSchema, configured_schema
from finops.segments.spool import RowSpool
from finops.segments.store import SegmentStore

RESOURCES = 50_000
MONTHS = 13
FIRST_MONTH = date(2025, 10, 1)

# What a resource is follows from its number alone; what it costs on a day, from both.
_ROWS = """
WITH charges AS (
  SELECT i, (DATE '{first}' + ((i % {days})::INTEGER)) AS charge_day,
         (hash(i * 2 + 1) % {resources})::BIGINT AS resource, hash(i) AS luck
  FROM range({begin}, {end}) AS numbers(i)
), known AS (
  SELECT *, resource % 60 AS sub, (resource // 60) % 40 AS service,
         ((resource % 60) * 5 + (resource // 2400) % 2) % 12 AS region,
         ((resource % 60) // 2 + (resource // 4800) % 2) % 30 AS team
  FROM charges
), priced AS (
  SELECT *, ((luck % 100000)::DECIMAL(38,18) / 1000)::DECIMAL(38,18) AS price FROM known
)
SELECT charge_day, 'document-' || i AS document_id,
  price AS billed_cost, (price * 9 / 10)::DECIMAL(38,18) AS effective_cost,
  (price * 12 / 10)::DECIMAL(38,18) AS list_cost, price AS contracted_cost,
  'EUR' AS billing_currency, 'account-1' AS billing_account_id, 'Nordwind' AS billing_account_name,
  TIMESTAMP '{first}' AS billing_period_start,
  TIMESTAMP '{last}' AS billing_period_end,
  charge_day::TIMESTAMP AS charge_period_start,
  (charge_day + 1)::TIMESTAMP AS charge_period_end,
  'Usage' AS charge_category, 'Usage-Based' AS charge_frequency,
  'Meter ' || resource % 300 || ', hours' AS charge_description,
  1::DECIMAL(38,18) AS consumed_quantity, 'Hours' AS consumed_unit,
  1::DECIMAL(38,18) AS pricing_quantity, 'Hours' AS pricing_unit,
  CASE WHEN resource % 10 = 0 THEN 'Committed' ELSE 'Standard' END AS pricing_category,
  'Microsoft' AS provider_name, 'Microsoft' AS publisher_name, 'Microsoft' AS invoice_issuer_name,
  'region-' || region AS region_id, 'Region ' || region AS region_name,
  '/subscriptions/' || sub || '/resources/' || resource AS resource_id,
  'resource-' || resource AS resource_name, 'Type ' || service AS resource_type,
  'Category ' || service % 8 AS service_category, 'Service ' || service AS service_name,
  'sku-' || resource % 700 AS sku_id, '/subscriptions/' || sub AS sub_account_id,
  'Subscription ' || sub AS sub_account_name,
  MAP {{'team': 'team-' || team, 'env': CASE resource % 3 WHEN 0 THEN 'prod' ELSE 'dev' END}}
    AS tags
FROM priced
ORDER BY charge_day
"""


def build(name: str, *, rows: int) -> Dataset:
    """Make and publish ``rows`` charges; prints how long each step took."""
    dataset = Dataset.objects.create(name=name, flow=name)
    schema, store = configured_schema(), SegmentStore()
    generated = rolled = 0.0
    groups = 0
    for period, begin, end in _months(rows):
        started = time.perf_counter()
        table = _table(period, begin, end, schema)
        generated += time.perf_counter() - started
        started = time.perf_counter()
        rollup = roll_up(table, schema)
        names = manifest.record_pair(dataset, period.start, days=period.days)
        with RowSpool(schema) as spool:
            for start in range(0, len(table), ROWS_AT_ONCE):
                spool.add(table.slice(start, ROWS_AT_ONCE))
            write_files(store, names, spool, rollup, schema)
        made = drafts(period, {}, rollup, names, schema)
        manifest.publish(dataset, made, manifest.versions(dataset, period))
        rolled += time.perf_counter() - started
        groups += len(rollup)
    dataset.refresh_from_db()
    print(f"{rows:,} rows made in {generated:.0f} s; rolled up, written and published in"
          f" {rolled:.0f} s: {groups:,} rows of roll-up")  # fmt: skip
    return dataset


def _months(rows: int) -> Iterator[tuple[Period, int, int]]:
    first = FIRST_MONTH
    for number in range(MONTHS):
        last = months_before(first, -1)
        yield Period(first, last), rows * number // MONTHS, rows * (number + 1) // MONTHS
        first = last


def _table(period: Period, begin: int, end: int, schema: SegmentSchema) -> pa.Table:
    sql = _ROWS.format(
        first=period.start,
        last=period.end,
        days=period.days,
        begin=begin,
        end=end,
        resources=RESOURCES,
    )
    with duckdb.connect() as connection:
        made = connection.sql(sql).to_arrow_table()
    columns = []
    for field in schema.rows:
        if field.name in made.column_names:
            columns.append(made[field.name].cast(field.type))
        elif field.name.startswith("tag_"):
            key = field.name.removeprefix("tag_")
            columns.append(pc.map_lookup(made["tags"], key, "first").cast(field.type))
        else:
            columns.append(pa.nulls(len(made), field.type))
    return pa.table(columns, schema=schema.rows)
