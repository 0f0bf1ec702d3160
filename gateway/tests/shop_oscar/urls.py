from django.apps import apps
from django.conf import settings
from django.urls import include, path
from django.views.i18n import set_language
from django.views.static import serve

import views

urlpatterns = [
    path("i18n/setlang/", set_language, name="set_language"),
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
    path("photo/", views.photo, name="photo"),
    path("pay/", views.pay),
    path("", include(apps.get_app_config("oscar").urls[0])),
]
