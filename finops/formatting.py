"""How amounts, changes, shares and days are written for people.

Amounts stay ``Decimal`` to the last digit: what is rounded for reading always has its exact value
beside it (``Amount.exact``, and the ``value`` of its ``<data>`` element).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from html import escape
from typing import Literal

from django.utils.safestring import SafeString, mark_safe

MINUS = "\N{MINUS SIGN}"
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"

# Only symbols that name one currency beyond doubt. The others are written with their ISO 4217 code.
_SYMBOLS = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "EUR": "€",
    "GBP": "£",
    "JPY": "¥",
    "MXN": "MX$",
    "NZD": "NZ$",
    "USD": "$",
}
# ISO 4217 minor units, where they are not two.
_NO_DIGITS = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND",
    "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
_THREE_DIGITS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_DIGITS = dict.fromkeys(_NO_DIGITS, 0) | dict.fromkeys(_THREE_DIGITS, 3)
_UNITS = ((Decimal(10**3), "k", 1), (Decimal(10**6), "M", 2), (Decimal(10**9), "bn", 2))


def currency_digits(currency: str) -> int:
    """Return how many decimals amounts in ``currency`` (ISO 4217 code) are written with."""
    return _DIGITS.get(currency, 2)


def currency_prefix(currency: str) -> str:
    """Return what stands before an amount: ``€``, or the code and a space that does not break."""
    return _SYMBOLS.get(currency, f"{currency}{NO_BREAK_SPACE}")


def rounded(amount: Decimal, digits: int) -> Decimal:
    """Round half away from zero, as invoices do."""
    return amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def money(amount: Decimal, currency: str) -> str:
    """Write an amount with its currency's digits: ``€1,234.50``, ``−$0.25``, ``<$0.01``."""
    digits = currency_digits(currency)
    value = rounded(amount, digits)
    sign = MINUS if amount < 0 else ""
    if value == 0 and amount != 0:
        # "0.00" would say that there is no cost.
        return f"{sign}<{currency_prefix(currency)}{Decimal(1).scaleb(-digits):f}"
    return f"{sign}{currency_prefix(currency)}{value.copy_abs():,f}"


def compact_money(amount: Decimal, currency: str) -> str:
    """Write an amount short: ``€252.1k``, ``€2.76M``; below a thousand as ``money`` does."""
    value, unit = rounded(amount, currency_digits(currency)), ""
    for size, name, digits in _UNITS:
        if value.copy_abs() < 1000:
            break
        value, unit = rounded(amount / size, digits), name
    if not unit:
        return money(amount, currency)
    sign = MINUS if value < 0 else ""
    return f"{sign}{currency_prefix(currency)}{value.copy_abs():,f}{unit}"


def axis_money(amount: Decimal, *, largest: Decimal, step: Decimal, currency: str) -> str:
    """Write a tick of an axis: every tick in the unit of the ``largest``, as fine as ``step``."""
    size, unit = Decimal(1), ""
    for candidate, name, _ in _UNITS:
        if largest >= candidate:
            size, unit = candidate, name
    exponent = (step / size).normalize().as_tuple().exponent
    digits = max(0, -exponent) if isinstance(exponent, int) else 0
    if not unit and digits:
        digits = max(digits, currency_digits(currency))
    value = rounded(amount / size, digits)
    if not value:
        return f"{currency_prefix(currency)}0"
    sign = MINUS if value < 0 else ""
    return f"{sign}{currency_prefix(currency)}{value.copy_abs():,f}{unit}"


def exact(amount: Decimal) -> str:
    """Write every digit of an amount, grouped, without trailing zeros: ``20.52022672899``."""
    text = f"{amount.copy_abs():,f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{MINUS if amount < 0 else ''}{text}"


@dataclass(frozen=True, slots=True)
class Amount:
    """An amount of money as a page shows it."""

    value: Decimal
    currency: str

    @property
    def text(self) -> str:
        """The amount, rounded to the currency's digits."""
        return money(self.value, self.currency)

    @property
    def exact(self) -> str:
        """Every digit, without the currency."""
        return exact(self.value)

    @property
    def is_rounded(self) -> bool:
        """Whether ``text`` shows fewer digits than there are."""
        return rounded(self.value, currency_digits(self.currency)) != self.value

    @property
    def html(self) -> SafeString:
        """``text`` as a ``<data>`` element that carries the exact value."""
        return self._data(self.text)

    @property
    def compact_html(self) -> SafeString:
        """The short form as a ``<data>`` element that carries the exact value."""
        return self._data(compact_money(self.value, self.currency))

    def _data(self, text: str) -> SafeString:
        # Pages have hundreds: Django's own format_html would take longer than all else of them.
        title = escape(f"{self.exact} {self.currency}")
        return mark_safe(  # noqa: S308 - escaped above and here
            f'<data value="{self.value:f}" title="{title}">{escape(text)}</data>'
        )


def percent(fraction: Decimal) -> str:
    """Write a fraction as a share: ``29.1%``, ``<0.1%``, ``−3.0%``."""
    value = rounded(fraction * 100, 1)
    sign = MINUS if fraction < 0 else ""
    if value == 0 and fraction != 0:
        return f"{sign}<0.1%"
    return f"{sign}{value.copy_abs():,f}%"


@dataclass(frozen=True, slots=True)
class Change:
    """The change of a cost between two periods, in words, arrow and tone (never by tone alone)."""

    text: str
    direction: Literal["up", "down", "same"]

    @property
    def arrow(self) -> str:
        """A character that points where the cost went."""
        return {"up": "↑", "down": "↓", "same": "→"}[self.direction]

    @property
    def tone(self) -> Literal["bad", "good", "plain"]:
        """Cost that grows is bad."""
        tones: dict[str, Literal["bad", "good", "plain"]]
        tones = {"up": "bad", "down": "good", "same": "plain"}
        return tones[self.direction]

    @property
    def html(self) -> SafeString:
        """The arrow, which is not read out, and the text."""
        return mark_safe(  # noqa: S308 - text of our own, and escaped
            f'<span class="change {self.tone}"><span aria-hidden="true">{self.arrow}</span>'
            f"{escape(self.text)}</span>"
        )


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole as text, and as a bar that stays between nothing and all of it."""

    fraction: Decimal | None  # None where there is no whole

    @property
    def text(self) -> str:
        """The share as ``percent`` writes it, or a dash."""
        return "–" if self.fraction is None else percent(self.fraction)

    @property
    def width(self) -> str:
        """The bar's length in hundredths of the whole: ``29.10``."""
        return f"{min(max(self.fraction or Decimal(0), Decimal(0)), Decimal(1)) * 100:.2f}"

    @property
    def html(self) -> SafeString:
        """The bar, which is not read out, and the text."""
        width = self.width
        part = f'<rect class="part" width="{width}%" height="6" rx="3"/>' if width != "0.00" else ""
        return mark_safe(  # noqa: S308 - numbers of our own, and escaped
            '<svg class="bar" aria-hidden="true" focusable="false" width="72" height="6">'
            f'<rect width="100%" height="6" rx="3"/>{part}</svg>{escape(self.text)}'
        )


def change(
    *, current: Decimal, previous: Decimal | None, fraction: Decimal | None
) -> Change | None:
    """Describe a change, or return ``None`` where there is nothing to compare with.

    ``fraction`` is the change as a fraction of ``previous``. The direction follows the amounts,
    because the fraction of a negative amount points the wrong way.
    """
    if previous is None or fraction is None:
        return None
    value = rounded(fraction.copy_abs() * 100, 1)
    if value == 0:
        return Change("0.0%", "same")
    digits = f"{value:,f}" if value < 1000 else f"{rounded(value, 0):,f}"
    if current > previous:
        return Change(f"+{digits}%", "up")
    return Change(f"{MINUS}{digits}%", "down")


def day(value: date) -> str:
    """Write a day: ``20 Oct 2026``."""
    return f"{value.day} {value:%b %Y}"


def days(start: date, end: date, *, year: bool = False) -> str:
    """Write a half-open period by its first and last day: ``1–20 Oct``, ``28 Sep – 4 Oct``."""
    last = end - timedelta(days=1)
    suffix = f" {last.year}" if year else ""
    if start == last:
        return f"{last.day} {last:%b}{suffix}"
    if (start.year, start.month) == (last.year, last.month):
        return f"{start.day}–{last.day} {last:%b}{suffix}"
    first_year = f" {start.year}" if year and start.year != last.year else ""
    return f"{start.day} {start:%b}{first_year} – {last.day} {last:%b}{suffix}"
