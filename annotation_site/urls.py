"""Every URL of the site. What the pages and the API are called is theirs to say."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from labeling.api import health
from labeling.views import provider

# One way to sign in, so that attempts are counted wherever they are made.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("accounts/oidc/login/", provider.start, name="oidc_login"),
    path(
        "accounts/oidc/callback/",
        provider.callback,
        {"provider_id": "sso"},
        name="openid_connect_callback",  # as allauth calls it
    ),
    path("accounts/", include("allauth.account.urls")),
    path("api/v1/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/v1/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema"), name="docs"),
    path("api/v1/", include("labeling.api.urls")),
    path("", include("labeling.urls")),
]
