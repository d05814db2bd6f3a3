"""The admin site, entered by level instead of by ``is_staff``."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from accounts import sessions
from accounts.guard import public
from accounts.levels import PermissionLevel
from accounts.models import User
from accounts.refusals import safe_path, sign_in_url


class LevelAdminSite(AdminSite):
    """Lets in who the guard found to be ADMIN for this request."""

    site_title = site_header = "FinOps Dashboard"
    index_title = "Administration"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return whether the person's level, as of this request, is ADMIN."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.level is PermissionLevel.ADMIN

    @public
    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The password form of the break-glass superuser; everybody else signs in with Entra."""
        index = reverse("admin:index", current_app=self.name)
        if request.user.is_authenticated or not settings.BREAK_GLASS_SIGN_IN:
            next_path = safe_path(request.GET.get("next"))
            return redirect(sign_in_url(next_path if next_path != "/" else index))
        response = super().login(request, extra_context)
        if SESSION_KEY in request.session:
            sessions.limit(request, sessions.BREAK_GLASS_LENGTH)
        return response

    @method_decorator(never_cache)
    def logout(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Sign out here and at Entra ID. By POST only, as everywhere."""
        if request.method != "POST":
            return HttpResponse(status=405, headers={"Allow": "POST"})
        return redirect(sessions.end(request))
