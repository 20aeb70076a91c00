"""The application of `INSTALLED_APPS`: it checks the settings."""

from django.apps import AppConfig
from django.core import checks

from rateproof.enforce.frameworks.django_checks import check_deployment, check_settings

__all__ = ["RateproofConfig"]


class RateproofConfig(AppConfig):
    """Registers the system checks."""

    name = "rateproof.django"
    label = "rateproof"

    def ready(self) -> None:
        """Register them; Django calls this once."""
        checks.register(check_settings)
        checks.register(check_deployment, deploy=True)
