"""The Django project, and the cost pages."""

from finops.celery import app as celery_app

__all__ = ["celery_app"]
