"""The currency of a question: as asked, else as the person last chose on whichever machine."""

from dataclasses import replace

from accounts.guard import GuardedRequest
from finops.costs.explore import Answer
from finops.costs.units import choice_of
from finops.explore.query_string import Asked, parse
from finops.models import PagePreference


def asked_by(request: GuardedRequest) -> Asked:
    """What the address asks, in the currency that was chosen last where it names none."""
    asked = parse(request.GET)
    kept = PagePreference.objects.filter(user=request.user).first()
    if kept is None or asked.question.currency is not None:
        return asked
    return replace(asked, question=replace(asked.question, currency=kept.currency or None))


def settled(request: GuardedRequest, asked: Asked, answer: Answer) -> Asked:
    """Keep a currency that was chosen; say that it is another one, where it had to be."""
    wanted, shown = request.GET.get("currency"), choice_of(answer.unit)
    if not wanted:
        return asked
    if not PagePreference.objects.filter(user=request.user, currency=shown).exists():
        PagePreference.objects.update_or_create(user=request.user, defaults={"currency": shown})
    if wanted == shown:
        return asked
    problem = f"You see no charge in that currency: {answer.currency} is shown."
    return replace(asked, problems=(*asked.problems, problem))
