"""Makes the database of a test's own workers from a file of flows: run as a process of its own."""

import sys

import django
from django.core.management import call_command


def main(file: str) -> None:
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("flows", "apply", file, "--yes")


if __name__ == "__main__":
    main(*sys.argv[1:])
