"""What a person chose to see on the overview, from the URL or else as they last left it."""

from dataclasses import dataclass

from accounts.guard import GuardedRequest
from accounts.models import User
from accounts.scopes import Scope
from finops.costs.metrics import Metric
from finops.costs.overview import Overview, UnknownCurrency, load_overview
from finops.costs.units import choice_of
from finops.models import Dataset, PagePreference

_DEFAULT_METRIC = Metric.EFFECTIVE


@dataclass(frozen=True, slots=True)
class OverviewChoice:
    """The currency (``None``: the data set's main one) and the metric of chart and table."""

    currency: str | None
    metric: Metric

    @classmethod
    def of(cls, request: GuardedRequest) -> "OverviewChoice":
        """Read the choice; a metric that does not exist counts as not chosen."""
        known = {metric.value for metric in Metric}
        kept = PagePreference.objects.filter(user=request.user).first() or PagePreference()
        asked = request.GET.get("metric")
        metric = asked if asked in known else kept.metric
        return cls(
            currency=request.GET.get("currency") or kept.currency or None,
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

    def remember(self, user: User, shown: Overview) -> None:
        """Keep what is shown for the person's next visit, on whichever machine."""
        values = {"currency": choice_of(shown.unit), "metric": shown.metric.value}
        if not PagePreference.objects.filter(user=user, **values).exists():
            PagePreference.objects.update_or_create(user=user, defaults=values)
