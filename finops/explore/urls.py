from django.urls import path

from finops.explore import export_views, saved_pages, views

explore = [
    path("", views.explorer, name="explore"),
    path("export.csv", export_views.as_csv, name="explore-csv"),
    path("export.xlsx", export_views.as_xlsx, name="explore-xlsx"),
    path("rows.csv", export_views.as_focus, name="explore-focus"),
    path("rows/", views.rows, name="explore-rows"),
    path("views/", saved_pages.views, name="explore-views"),
    path("views/save/", saved_pages.save, name="explore-view-save"),
    path("views/<int:pk>/", saved_pages.opened, name="explore-view"),
    path("views/<int:pk>/rename/", saved_pages.rename, name="explore-view-rename"),
    path("views/<int:pk>/delete/", saved_pages.delete, name="explore-view-delete"),
    path("views/<int:pk>/share/", saved_pages.share, name="explore-view-share"),
    path("views/<int:pk>/default/", saved_pages.default, name="explore-view-default"),
    path("values/", views.values, name="explore-values"),
]
