"""Where a credential is looked for, and in which order."""

from __future__ import annotations

import pytest
from yarl import URL

from inventory.credentials import find_account
from inventory.errors import CredentialsError

SECRET = "MIIRxgYJKoZIhvcNAQcCoIIR+tz-CCEbMCAQExDTALBglghkgBZQM/AQ=="
PLACE = URL("https://fg.example/v2/p1/fgs/functions/urn:fss:r:p1:function:default:f:!a/async-invoke-config")
USER = {"HW_USER_NAME": "reader", "HW_USER_PASSWORD": "a-long-password-of-ours", "HW_DOMAIN_NAME": "company"}
KEYS = {"HW_ACCESS_KEY": "AKOFTERRAFORM0000001", "HW_SECRET_KEY": "SKOFTERRAFORM0000000000000000000000001"}
SDK = {"HUAWEICLOUD_SDK_AK": "AKOFTHESDK0000000001", "HUAWEICLOUD_SDK_SK": "SKOFTHESDK0000000000000000000000000001"}


def find(environment, token_file=None):
    return find_account(token_file, environment, "https://iam.{}.example".format, {"User-Agent": "us"})


@pytest.fixture
def sdk(monkeypatch):
    """The SDK reads the process's own variables."""
    for name, value in SDK.items():
        monkeypatch.setenv(name, value)


def headers_of(account):
    return account.credential(None, "r", "p1").headers(PLACE)


def test_a_token_file_goes_before_the_environment(tmp_path, sdk):
    """A file that is named is used, without the line end that editors add, whatever else is there."""
    path = tmp_path / "token"
    path.write_text(f"\n  {SECRET}\r\n")
    everything = {"HW_AUTH_TOKEN": "other-token", **USER, **KEYS}
    assert headers_of(find(everything, path)) == {"X-Auth-Token": SECRET}


def test_a_token_goes_before_a_user_and_keys(sdk):
    """HW_AUTH_TOKEN is the next, and goes out as X-Auth-Token to every scope."""
    account = find({"HW_AUTH_TOKEN": SECRET, **USER, **KEYS})
    assert headers_of(account) == {"X-Auth-Token": SECRET}
    assert account.overview(None, "r") is account.credential(None, "r2", "p2")


def test_a_user_goes_before_keys_and_has_a_token_per_project(sdk):
    """A name, a password and a domain are the next; nothing of the password shows."""
    account = find({**USER, **KEYS})
    assert repr(account) == "User('reader' of 'company')"
    token = account.credential(None, "r", "p1")
    assert repr(token) == "IamToken(User('reader' of 'company'), {'project': {'id': 'p1'}})"
    assert repr(account.overview(None, "r")).endswith("{'domain': {'name': 'company'}})")


def test_keys_of_terraform_go_before_those_of_the_sdk(sdk):
    """HW_ACCESS_KEY and HW_SECRET_KEY sign, with HW_SECURITY_TOKEN where there is one."""
    signed = headers_of(find({**KEYS, "HW_SECURITY_TOKEN": "temporary-token-of-terraform"}))
    assert "Access=AKOFTERRAFORM0000001," in signed["Authorization"]
    assert signed["X-Security-Token"] == "temporary-token-of-terraform"
    assert "X-Security-Token" not in headers_of(find(KEYS))


def test_what_the_sdk_finds_is_found_last(sdk):
    """Without variables of ours the vendor's provider chain is asked."""
    account = find({})
    assert "Access=AKOFTHESDK0000000001," in headers_of(account)["Authorization"]
    assert not any(secret in repr(account) for secret in SDK.values())


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"HW_USER_NAME": "reader"},
            "HW_USER_NAME alone is no credential: set HW_USER_PASSWORD and HW_DOMAIN_NAME too",
        ),
        (
            {**USER, "HW_USER_NAME": " "},
            "HW_USER_PASSWORD, HW_DOMAIN_NAME alone is no credential: set HW_USER_NAME too",
        ),
        ({"HW_SECRET_KEY": "x"}, "HW_SECRET_KEY alone is no credential: set HW_ACCESS_KEY too"),
    ],
)
def test_half_a_credential_is_an_error_that_names_the_other_half(environment, words):
    """What was begun is meant: nothing else is looked for."""
    with pytest.raises(CredentialsError) as caught:
        find(environment)
    assert str(caught.value) == words


@pytest.mark.parametrize("environment", [{}, {"HW_AUTH_TOKEN": ""}, {"HW_AUTH_TOKEN": " \n"}])
def test_no_credential_says_where_to_put_one(environment, monkeypatch):
    """Without a credential the message names the places that are looked in."""
    monkeypatch.setattr("inventory.aksk.find_access_keys", lambda: None)
    with pytest.raises(CredentialsError, match=r"HW_AUTH_TOKEN.*--token-file.*HW_USER_NAME.*HUAWEICLOUD_SDK_AK"):
        find(environment)
