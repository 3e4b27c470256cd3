"""Settings: what the environment says, checked at once."""

import pytest

from shared.errors import ConfigError
from shared.runtime.settings import Settings, read


def test_what_is_not_set_has_its_default():
    assert read({}) == Settings()
    assert read({"GITHUB_APP_ID": "", "PATH": "/bin", "signalbox_backend": "wrong case"}) == Settings()


def test_a_field_is_read_from_the_variable_of_its_name():
    environ = {
        "SIGNALBOX_BACKEND": "local.emulation.backend:open_backend",
        "SIGNALBOX_REDELIVERY": "1.5",
        "SIGNALBOX_ALLOW_LOOPBACK": "true",
        "GITHUB_APP_ID": "12345",
    }

    settings = read(environ)

    assert settings.signalbox_backend == "local.emulation.backend:open_backend"
    assert settings.signalbox_redelivery == 1.5
    assert settings.signalbox_allow_loopback is True
    assert settings.github_app_id == "12345"


@pytest.mark.parametrize(
    ("variable", "value"), [("SIGNALBOX_REDELIVERY", "soon"), ("SIGNALBOX_ALLOW_LOOPBACK", "perhaps")]
)
def test_a_value_of_the_wrong_kind_names_its_variable(variable, value):
    with pytest.raises(ConfigError, match=f"environment variable {variable}: Expected"):
        read({variable: value})
