"""What a person chose to see on the overview, from the URL or else from the session."""

from dataclasses import dataclass

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from accounts.scopes import Scope
from finops.costs.metrics import Metric
from finops.costs.overview import Overview, UnknownCurrency, load_overview
from finops.models import Dataset

_CURRENCY = "overview.currency"
_METRIC = "overview.metric"
_DEFAULT_METRIC = Metric.EFFECTIVE


@dataclass(frozen=True, slots=True)
class OverviewChoice:
    """The currency (``None``: the data set's main one) and the metric of chart and table."""

    currency: str | None
    metric: Metric

    @classmethod
    def of(cls, request: HttpRequest) -> "OverviewChoice":
        """Read the choice; a metric that does not exist counts as not chosen."""
        known = {metric.value for metric in Metric}
        asked = request.GET.get("metric")
        metric = asked if asked in known else request.session.get(_METRIC)
        return cls(
            currency=request.GET.get("currency") or request.session.get(_CURRENCY),
            metric=Metric(metric) if metric in known else _DEFAULT_METRIC,
        )

    def load(self, dataset: Dataset, scope: Scope) -> Overview:
        """Load the overview; a currency that the scope does not have gives its main one.

        Raises NoCostData when there are no charges.
        """
        try:
            return load_overview(
                dataset=dataset, scope=scope, currency=self.currency, metric=self.metric
            )
        except UnknownCurrency:
            return load_overview(dataset=dataset, scope=scope, currency=None, metric=self.metric)

    def remember(self, session: SessionBase, shown: Overview) -> None:
        """Keep what is shown for the person's next visit, where it differs from what is kept."""
        for key, value in ((_CURRENCY, shown.currency), (_METRIC, shown.metric.value)):
            if session.get(key) != value:
                session[key] = value
