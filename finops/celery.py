"""The Celery application. Tasks live beside what they do, in each app's ``tasks`` module."""

import os

import click
from celery import Celery
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finops.settings")

app = Celery("finops")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(DjangoStructLogInitStep)
app.steps["worker"].add("finops.metrics_port:MetricsPort")
app.user_options["worker"].add(
    click.Option(
        ["--metrics-port"],
        type=click.IntRange(0, 65535),
        help="Where this worker shows its metrics, in place of METRICS_PORT. 0: nowhere.",
    )
)
