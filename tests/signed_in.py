"""Sessions that tests make without a sign-in follow a token that is good for an hour."""

import time
from typing import Any

from django.contrib.auth.signals import user_logged_in
from django.dispatch import receiver
from django.http import HttpRequest

from accounts import renewal


@receiver(user_logged_in)
def follow_a_token(request: HttpRequest, **_signal: Any) -> None:
    renewal.follow(request.session, int(time.time()) + 3600)
