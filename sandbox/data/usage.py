"""Charges for use: one row per resource, meter and day."""

from collections.abc import Iterator
from datetime import date
from random import Random

from sandbox.data.catalogue import SERVICES, Meter, Service, shape
from sandbox.data.company import (
    GMBH,
    REGIONS,
    SUBSCRIPTIONS,
    Subscription,
    made_up_id,
    pick,
    tags,
    weighted_subscription,
)
from sandbox.data.layout import (
    CONSUMED,
    PRICE,
    PRICED,
    QUANTITY,
    Cells,
    fill_costs,
    number,
    template,
)
from sandbox.data.months import Month

_EUROPEAN = [subscription for subscription in SUBSCRIPTIONS if subscription.account is GMBH]
_A_DAY = 5_900.0  # what the company uses a day, in whatever currency it is billed
_TWIN = (61, 37)  # one in so many meters is charged twice alike, beginning with this one


class Charged:
    """A resource's meter with the cells that never change."""

    def __init__(self, random: Random, place: int, service: Service) -> None:
        subscription = weighted_subscription(random)
        if place < len(SERVICES):  # even the smallest bill has all services in euros
            subscription = _EUROPEAN[place % len(_EUROPEAN)]
        self.service = service
        self.account = subscription.account
        self.meter = service.meters[int(random.random() * len(service.meters))]
        self.weight = 0.25 + 3 * random.random() ** 2
        self.twin = place % _TWIN[0] == _TWIN[1]
        self.cells = _cells(random, place, service, self.meter, subscription)


def meter_cells(service: Service, meter: Meter, region: str) -> dict[str, str]:
    """The cells that follow from a service and a meter."""
    sku = made_up_id("sku", service.name, meter.name)[:8].upper()
    return {
        "ServiceName": service.name,
        "ServiceCategory": service.category,
        "ServiceSubcategory": service.subcategory,
        "SkuId": sku,
        "SkuMeter": meter.name,
        "SkuPriceId": f"{sku}-0001",
        "SkuPriceDetails": meter.details(),
        "PricingUnit": meter.unit,
        "ListUnitPrice": number(meter.list_price, PRICE),
        "ContractedUnitPrice": number(meter.contracted_price, PRICE),
        "ChargeDescription": f"{meter.subcategory} - {meter.name}",
        "x_PricingUnitDescription": f"1 {meter.unit}",
        "x_SkuMeterCategory": service.meter_category,
        "x_SkuMeterId": made_up_id("meter", service.name, meter.name, region),
        "x_SkuMeterSubcategory": meter.subcategory,
    }


def resource_cells(
    random: Random, place: int, service: Service, subscription: Subscription
) -> dict[str, str]:
    """The cells of a resource; none for a charge that has no resource."""
    if not service.resource_type:
        return {}
    group = f"rg-{subscription.team.removeprefix('team-')}-{subscription.environment}"
    name = f"{service.meter_category.split()[-1].lower()}-{place:05d}"
    kind = service.resource_type
    return {
        "ResourceId": f"{subscription.id}/resourceGroups/{group}/providers/{kind}/{name}",
        "ResourceName": name,
        "ResourceType": kind.rpartition("/")[2],
        "Tags": tags(random, subscription),
        "x_ResourceGroupName": group,
    }


def _cells(
    random: Random, place: int, service: Service, meter: Meter, subscription: Subscription
) -> Cells:
    region = pick(random, *subscription.regions)
    regional = service.resource_type != "" or service.name == "Bandwidth"
    if not regional or random.random() < 0.02:
        region = ""
    return template(
        **subscription.cells()
        | meter_cells(service, meter, region)
        | resource_cells(random, place, service, subscription)
        | {
            "ChargeCategory": "Usage",
            "ChargeFrequency": "Usage-Based",
            "PricingCategory": "Standard",
            "ConsumedUnit": meter.unit,
            "RegionId": region,
            "RegionName": REGIONS.get(region, ""),
        }
        | ({"PublisherName": "Databricks, Inc."} if service.third_party else {})
    )


def _slots() -> list[Service]:
    """One service after the other, then all of them in proportion and well mixed."""
    spread = [
        ((turn + 0.5) / service.slots, place, service)
        for place, service in enumerate(SERVICES)
        for turn in range(service.slots)
    ]
    return [service for _, _, service in sorted(spread, key=lambda slot: slot[:2])]


class Usage:
    """Makes rows of use. Holds one template per resource, however many days there are."""

    def __init__(self, seed: int) -> None:
        self._making = Random(f"{seed}/resources")  # noqa: S311 - sample data
        self._noise = Random(f"{seed}/usage")  # noqa: S311 - sample data
        self._charged: list[Charged] = []
        self._slots = _slots()

    def rows(
        self, month: Month, day: date, *, quota: int, covered: int, age: float
    ) -> Iterator[tuple[Charged, Cells, int]]:
        """``quota`` rows of a day, each with its meter and effective cost.

        Together they cost what the company uses on ``covered`` days, however many they are.
        """
        shapes = {service.name: shape(service, day, age) for service in SERVICES}
        chosen = self._chosen(shapes, quota)
        weights = dict.fromkeys(shapes, 0.0)
        for charged, times in chosen:
            weights[charged.service.name] += charged.weight * times
        # The cost of one unit of weight, by service.
        costs = {
            service.name: _A_DAY
            * covered
            * service.share
            / 1000
            * shapes[service.name]
            / (weights[service.name] or 1.0)
            for service in SERVICES
        }
        for charged, times in chosen:
            row, effective = self._row(month, day, charged, costs[charged.service.name])
            for _ in range(times):
                yield charged, row, effective

    def _chosen(self, shapes: dict[str, float], quota: int) -> list[tuple[Charged, int]]:
        chosen: list[tuple[Charged, int]] = []
        place = 0
        while quota > 0:
            charged = self._at(place)
            place += 1
            if shapes[charged.service.name]:
                times = 2 if charged.twin and quota > 1 else 1
                chosen.append((charged, times))
                quota -= times
        return chosen

    def _at(self, place: int) -> Charged:
        if place == len(self._charged):
            service = (
                SERVICES[place]
                if place < len(SERVICES)
                else self._slots[(place - len(SERVICES)) % len(self._slots)]
            )
            self._charged.append(Charged(self._making, place, service))
        return self._charged[place]

    def _row(self, month: Month, day: date, charged: Charged, cost: float) -> tuple[Cells, int]:
        row = charged.cells.copy()
        rate = month.fill(row, charged.account, day)
        price = charged.meter.contracted_price
        target = cost * charged.weight * (0.85 + 0.3 * self._noise.random())
        quantity = int(target * 1e10 / price) + 1
        contracted = quantity * price
        row[CONSUMED] = row[PRICED] = number(quantity, QUANTITY)
        fill_costs(
            row,
            rate,
            billed=0 if charged.service.third_party else contracted,
            effective=contracted,
            listed=quantity * charged.meter.list_price,
            contracted=contracted,
        )
        return row, contracted
