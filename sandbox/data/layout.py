"""The file's columns and how numbers stand in its cells."""

# FOCUS 1.2 as Azure exports it: all of it but AvailabilityZone and three PricingCurrency columns.
FOCUS = """
BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd
BillingPeriodStart CapacityReservationId CapacityReservationStatus ChargeCategory ChargeClass
ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart CommitmentDiscountCategory
CommitmentDiscountId CommitmentDiscountName CommitmentDiscountQuantity CommitmentDiscountStatus
CommitmentDiscountType CommitmentDiscountUnit ConsumedQuantity ConsumedUnit ContractedCost
ContractedUnitPrice EffectiveCost InvoiceId InvoiceIssuerName ListCost ListUnitPrice
PricingCategory PricingCurrency PricingQuantity PricingUnit ProviderName PublisherName RegionId
RegionName ResourceId ResourceName ResourceType ServiceCategory ServiceName ServiceSubcategory
SkuId SkuMeter SkuPriceDetails SkuPriceId SubAccountId SubAccountName SubAccountType Tags
"""
AZURE = """
x_AmortizationClass x_BilledCostInUsd x_BillingExchangeRate x_BillingProfileId
x_BillingProfileName x_ContractedCostInUsd x_CostCenter x_EffectiveCostInUsd x_InvoiceSectionId
x_InvoiceSectionName x_ListCostInUsd x_PricingUnitDescription x_ResourceGroupName
x_SkuMeterCategory x_SkuMeterId x_SkuMeterSubcategory x_SkuTerm
"""
HEADER = tuple(FOCUS.split() + AZURE.split())
AT = {name: place for place, name in enumerate(HEADER)}

# Numbers are integers until they are written, so every product is exact: a price counts
# millionths, a quantity ten-thousandths, their product 10**-10.
PRICE, QUANTITY, COST, RATE = 6, 4, 10, 4
ONE = 10**COST  # 1.00 as a cost

Cells = list[str]


def number(units: int, scale: int) -> str:
    """``units`` times 10**-scale, without zeros at its end."""
    digits = str(abs(units)).zfill(scale + 1)
    text = f"{digits[:-scale]}.{digits[-scale:]}".rstrip("0").rstrip(".")
    return f"-{text}" if units < 0 else text


def template(**cells: str) -> Cells:
    """A row with these cells, all others empty."""
    row = [""] * len(HEADER)
    for name, text in cells.items():
        row[AT[name]] = text
    return row


# Where the cells are that differ from row to row.
BILLED, EFFECTIVE, LIST, CONTRACTED = (
    AT[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
)
BILLED_USD, EFFECTIVE_USD, LIST_USD, CONTRACTED_USD = (
    AT[f"x_{name}InUsd"] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
)
CONSUMED, PRICED = AT["ConsumedQuantity"], AT["PricingQuantity"]
CHARGE_START, CHARGE_END = AT["ChargePeriodStart"], AT["ChargePeriodEnd"]
BILLING_START, BILLING_END = AT["BillingPeriodStart"], AT["BillingPeriodEnd"]
INVOICE, EXCHANGE = AT["InvoiceId"], AT["x_BillingExchangeRate"]


def fill_costs(
    row: Cells, rate: int, *, billed: int, effective: int, listed: int, contracted: int
) -> None:
    """Write the four costs, and in US dollars at ``rate`` ten-thousandths, exactly."""
    for place, in_usd, units in (
        (BILLED, BILLED_USD, billed),
        (EFFECTIVE, EFFECTIVE_USD, effective),
        (LIST, LIST_USD, listed),
        (CONTRACTED, CONTRACTED_USD, contracted),
    ):
        row[place] = number(units, COST)
        row[in_usd] = number(units * rate, COST + RATE)
