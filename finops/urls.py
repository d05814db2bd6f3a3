from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from finops import views
from finops.explore.urls import explore
from finops.health import flows, healthz
from finops.metrics import metrics

cost_pages: list[URLPattern | URLResolver] = [
    path("", views.overview, name="overview"),
    path("explore/", include(explore)),
    path("data/", views.data, name="data"),
    path("freshness/", views.freshness, name="freshness"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("healthz/flows", flows, name="healthz_flows"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include((cost_pages, "finops"))),
]
