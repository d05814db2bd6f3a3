"""``manage.py explain_user OID|UPN [--refresh] [--json]``."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.explanation import Explanation, UnknownUser, explain_user, find_user, refresh


class Command(BaseCommand):
    """Tells why somebody may do what they may."""

    help = "Explain a person's level and scope: claims, groups, and the mappings that matched."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the arguments."""
        parser.add_argument("person", help="object id, user principal name or e-mail address")
        parser.add_argument("--refresh", action="store_true", help="ask Microsoft Graph first")
        parser.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the explanation."""
        try:
            user = find_user(options["person"])
        except UnknownUser as error:
            raise CommandError(str(error)) from None
        outcome = refresh(user) if options["refresh"] else None
        explanation = explain_user(user)
        if options["json"]:
            facts = explanation.to_json()
            refreshed = {"refresh": outcome} if outcome else {}
            self.stdout.write(json.dumps(facts | refreshed, indent=2, ensure_ascii=False))
            return
        for line in [*([outcome, ""] if outcome else []), *_lines(explanation)]:
            self.stdout.write(line)


def _lines(found: Explanation) -> list[str]:
    age = f"{found.age.total_seconds():,.0f} s ago" if found.age else "never"
    lines = [
        f"{found.name} <{found.email}>",
        f"  object id      {found.oid}",
        f"  last sign-in   {found.last_sign_in.isoformat() if found.last_sign_in else 'never'}",
        f"  groups         {len(found.group_oids)}, fetched {age}",
        f"  mappings       version {found.mappings_version}",
    ]
    for match in found.matches:
        scope = "all sub accounts" if match.sub_accounts is None else ", ".join(match.sub_accounts)
        state = "" if match.counts else f" (expired on {match.expires_on})"
        lines.append(f"    {match.name or match.group_oid}: {match.level}, {scope}{state}")
    lines.append(f"  level          {found.level or 'no access'}")
    lines += [f"    {line}" for line in found.holds]
    lines += [f"  ! {note}" for note in found.notes]
    return lines
