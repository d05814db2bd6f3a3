"""What every read of the explorer starts from: the rows of a scope, their unit, and the days."""

from dataclasses import dataclass
from datetime import date, datetime

from accounts.scopes import Scope
from finops.costs.engine import Engine, engine
from finops.costs.explore_frame import Frame, frame_of
from finops.costs.explore_sql import Selection
from finops.costs.kept import Kept
from finops.costs.overview import NoCostData, NoCostsInScope
from finops.costs.periods import Period, month_start, month_to_date, months_before
from finops.costs.published import Published, published
from finops.costs.question import Basis, Preset, Question
from finops.costs.units import CONVERTED, US_DOLLARS_BY_AZURE, Unit
from finops.costs.visible import VisibleRows, filter_of, has_us_dollars, visible
from finops.models import Dataset

_convertible: Kept[bool] = Kept(256)
_manifests: Kept[Published] = Kept(4)


@dataclass(frozen=True, slots=True)
class Visit:
    """The rows within a scope, in what they are added up, and the frame of time."""

    manifest: Published
    rows: VisibleRows
    built_at: datetime
    unit: Unit
    convertible: bool  # whether Azure's amounts in US dollars are an additional choice
    frame: Frame
    selection: Selection


def visit(dataset: Dataset, scope: Scope, question: Question) -> Visit:
    """Find the unit, the days and the rows of ``question``.

    Raises NoCostData, NoCostsInScope and CostQueryFailed.
    """
    version = (dataset.pk, dataset.version, dataset.published_at)
    # Reading it takes longer than the small questions: every day's totals are JSON.
    manifest = _manifests.get(version, lambda: published(dataset))
    rows = visible(manifest, scope, engine())
    if rows is None or dataset.published_at is None:
        if not scope.is_all:
            raise NoCostsInScope(f"Data set {dataset.name!r} has no charges within the scope.")
        raise NoCostData(f"Data set {dataset.name!r} has no charges yet.")
    convertible = _convertible.get(
        (*version, scope),
        lambda: (
            set(rows.by_currency) != {"USD"}
            and has_us_dollars(manifest, scope, month_to_date(rows.span.last), engine())
        ),
    )
    unit = _unit(question, rows.by_currency, convertible=convertible)
    span = rows.span
    if question.basis is Basis.BILLING and question.when is Preset.EVERYTHING:
        span = _billing_span(manifest, scope, engine()) or span
    frame = frame_of(question, span)
    selection = Selection(
        scope=scope,
        unit=unit,
        basis=question.basis,
        periods=frame.periods,
        filters=question.filters,
    )
    return Visit(manifest, rows, dataset.published_at, unit, convertible, frame, selection)


def _unit(question: Question, known: dict[str, int], *, convertible: bool) -> Unit:
    if question.currency == CONVERTED and convertible:
        return US_DOLLARS_BY_AZURE
    return Unit(question.currency if question.currency in known else next(iter(known)))


def _billing_span(manifest: Published, scope: Scope, engine: Engine) -> Period | None:
    """The billing periods that there are; None where no row has one."""
    within = filter_of(scope)
    scan = manifest.scan("rollup", manifest.days, engine.store, monthly_before=date.max)
    found = engine.fetch(
        f"""
        SELECT min(make_timestamp(epoch_us(billing_period_start))::DATE),
               max(make_timestamp(epoch_us(billing_period_start))::DATE)
        FROM {scan.sql} WHERE {within.sql}
        """,  # noqa: S608 - from the constants above
        {**scan.parameters, **within.parameters},
    )
    first, last = found[0]
    if not isinstance(first, date) or not isinstance(last, date):
        return None
    return Period(month_start(first), months_before(month_start(last), -1))
