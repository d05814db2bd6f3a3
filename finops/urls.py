from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from finops import views

cost_pages = [
    path("", views.overview, name="overview"),
    path("freshness/", views.freshness, name="freshness"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include((cost_pages, "finops"))),
]
