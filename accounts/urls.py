from django.urls import path

from accounts import views
from accounts.front_channel import front_channel_logout

app_name = "accounts"

urlpatterns = [
    path("sign-in/", views.login, name="login"),
    path("signed-in-again/", views.signed_in_again, name="signed_in_again"),
    path("signed-out/", views.signed_out, name="signed_out"),
    path("oidc/authenticate/", views.authenticate, name="authenticate"),
    path("oidc/callback/", views.callback, name="callback"),
    path("oidc/logout/", views.logout, name="logout"),
    path("oidc/front-channel-logout/", front_channel_logout, name="front_channel_logout"),
]
