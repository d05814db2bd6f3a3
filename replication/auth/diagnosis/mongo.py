"""The steps of one MongoDB connection."""

from collections.abc import Iterator
from dataclasses import dataclass

from replication.auth.diagnosis.connections import Target
from replication.auth.diagnosis.findings import Cause, Finding, StepFailed
from replication.auth.diagnosis.probe import MongoProbe
from replication.auth.diagnosis.steps import Check, Step


@dataclass(frozen=True)
class Wanted:
    """What somebody asked for, beyond the sign-in."""

    watch: bool = False
    write: bool = False


def mongo_steps(target: Target, probe: MongoProbe, wanted: Wanted) -> list[Step]:
    """Return what to look at for ``target``. Needs neither the network nor Django's database."""
    steps = [
        Step(Check.CONFIGURATION, lambda: _configuration(target, probe)),
        Step(Check.DNS, probe.look_up),
        Step(Check.TLS, probe.reach),
        Step(Check.SIGN_IN, probe.sign_in),
        Step(Check.PING, probe.ping),
    ]
    if probe.entra:
        steps.insert(3, Step(Check.TOKEN, probe.request_token))
    return [*steps, *_rights(target, probe, wanted)]


def _rights(target: Target, probe: MongoProbe, wanted: Wanted) -> Iterator[Step]:
    config = target.config
    named = (config.database, config.collection)
    for database, collection in [named] if all(named) else target.reads:
        yield Step(Check.READ, lambda d=database, c=collection: probe.read(d, c))  # type: ignore[misc]
        if wanted.watch or target.reads:
            yield Step(Check.WATCH, lambda d=database, c=collection: probe.watch(d, c))  # type: ignore[misc]
    if wanted.watch and not all(named) and not target.reads:
        yield Step(Check.WATCH, lambda: _nowhere("--watch", "--database and --collection"))
    if wanted.write:
        database = config.database or target.writes
        if database:
            yield Step(Check.WRITE, lambda: probe.write(database))
        else:
            yield Step(Check.WRITE, lambda: _nowhere("--write", "--database"))


def _configuration(target: Target, probe: MongoProbe) -> Finding:
    if target.problem:
        raise StepFailed(
            Cause.INVALID_CONFIGURATION,
            target.problem,
            "Correct the connection in the admin under Replication, Connections.",
        )
    return probe.check_configuration()


def _nowhere(flag: str, missing: str) -> Finding:
    raise StepFailed(
        Cause.INVALID_CONFIGURATION,
        f"{flag} was asked for, and no flow says where.",
        f"Add {missing}.",
    )
