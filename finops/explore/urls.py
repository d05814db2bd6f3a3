from django.urls import path

from finops.explore import export_views, views

explore = [
    path("", views.explorer, name="explore"),
    path("export.csv", export_views.as_csv, name="explore-csv"),
    path("export.xlsx", export_views.as_xlsx, name="explore-xlsx"),
    path("rows.csv", export_views.as_focus, name="explore-focus"),
    path("rows/", views.rows, name="explore-rows"),
    path("values/", views.values, name="explore-values"),
]
