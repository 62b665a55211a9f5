"""Profiles of KooCLI as a source of credentials."""

import json
import re
from pathlib import Path

import pytest

from inventory.cloud import access_keys
from inventory.cloud.accounts import find_account_credentials
from inventory.cloud.koocli import find_koocli_keys
from inventory.errors import CredentialsError

AK, SK = "AKOFKOOCLI0000000001", "SKOFKOOCLI00000000000000000000000000001"
PROFILE = {"name": "default", "mode": "AKSK", "accessKeyId": AK, "secretAccessKey": SK, "region": "cn-north-4"}
TEMPORARY = {**PROFILE, "name": "temporary", "accessKeyId": "AKOFKOOCLI0000000002", "securityToken": "a-token-of-sts"}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))

    def write(*profiles, **more):
        path = tmp_path / ".hcloud" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"current": "default", "profiles": [*profiles], "authEncrypt": "false", **more}))
        return path

    return write


def signed(environment):
    account = find_account_credentials(None, environment, "https://iam.{}.example".format, {"User-Agent": "us"})
    return account.credential(None, "r", "p1").headers("https://fg.example/v2/p1/fgs/functions")


def test_the_current_profile_is_the_last_source(write, monkeypatch):
    write(PROFILE, TEMPORARY)
    monkeypatch.setattr(access_keys, "find_access_keys", lambda: (None, []))
    assert f"Access={AK}," in signed({})["Authorization"]
    sdk = access_keys.create_access_keys("AKOFTHESDK0000000001", SK, "")
    monkeypatch.setattr(access_keys, "find_access_keys", lambda: (sdk, []))
    assert "Access=AKOFTHESDK0000000001," in signed({})["Authorization"]


def test_a_profile_that_a_variable_names_comes_before_the_sdk(write, monkeypatch):
    path = write(PROFILE, TEMPORARY)
    monkeypatch.setattr(access_keys, "find_access_keys", lambda: pytest.fail("the SDK is not asked"))
    headers = signed({"HW_PROFILE": "temporary"})
    assert "Access=AKOFKOOCLI0000000002," in headers["Authorization"]
    assert headers["X-Security-Token"] == "a-token-of-sts"
    other = path.rename(path.with_name("other.json"))
    assert f"Access={AK}," in signed({"HW_SHARED_CONFIG_FILE": str(other)})["Authorization"]
    assert f"Access={AK}," in signed({"HW_SHARED_CONFIG_FILE": "~/.hcloud/other.json"})["Authorization"]
    keys = {"HW_ACCESS_KEY": "AKOFTERRAFORM0000001", "HW_SECRET_KEY": SK, "HW_PROFILE": "temporary"}
    assert "Access=AKOFTERRAFORM0000001," in signed(keys)["Authorization"]


@pytest.mark.parametrize("flag", [True, "true", "True"])
def test_encrypted_keys_are_never_sent(write, flag):
    write({**PROFILE, "secretAccessKey": "c2VjcmV0"}, authEncrypt=flag)
    with pytest.raises(CredentialsError, match=r"are encrypted.*hcloud configure set") as caught:
        find_koocli_keys({}, only_named=False)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_file_that_does_not_say_whether_it_is_encrypted(write):
    write(PROFILE, authEncrypt=None)
    assert find_koocli_keys({}, only_named=False) is not None
    write({**PROFILE, "accessKeyId": "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4"}, authEncrypt=None)
    with pytest.raises(CredentialsError, match="are encrypted"):
        find_koocli_keys({}, only_named=False)


@pytest.mark.parametrize(
    ("profile", "environment", "message"),
    [
        (PROFILE, {"HW_PROFILE": "prod"}, r"has no profile 'prod' \(profiles: default\); set HW_PROFILE"),
        ({"name": "default", "mode": "SSO"}, {}, r"profile 'default' of .* has no access keys \(mode 'SSO'\)"),
        ({**PROFILE, "agencyName": "reader"}, {}, "uses an agency"),
        ({**PROFILE, "secretAccessKey": 5}, {}, "is not a configuration of KooCLI"),
        (PROFILE, {"HW_SHARED_CONFIG_FILE": "none.json"}, "none.json cannot be read: No such file"),
        ({**PROFILE, "secretAccessKey": f"“{SK}”"}, {}, "typographic quote"),
    ],
)
def test_a_profile_that_cannot_be_used_is_one_sentence_without_secrets(write, profile, environment, message):
    write(profile)
    with pytest.raises(CredentialsError, match=message) as caught:
        find_koocli_keys(environment, only_named=False)
    assert SK not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"profiles": {"secretAccessKey": "s3cret"}}'])
def test_another_file_is_refused_without_its_content(write, content):
    write().write_bytes(content)
    with pytest.raises(CredentialsError, match=r"is not a configuration of KooCLI|has no profile") as caught:
        find_koocli_keys({}, only_named=False)
    assert "s3cret" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no device without an end")
def test_a_device_without_an_end_is_refused():
    with pytest.raises(CredentialsError, match="is not a configuration of KooCLI"):
        find_koocli_keys({"HW_SHARED_CONFIG_FILE": "/dev/zero"}, only_named=True)


def test_no_file_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_koocli_keys({}, only_named=False) is None
    assert find_koocli_keys({}, only_named=True) is None


def test_no_secret_is_in_a_repr(write):
    write(PROFILE)
    assert not re.search(f"{SK}|{AK[4:]}", repr(find_koocli_keys({}, only_named=False)))
    write({**PROFILE, "name": "other"})
    with pytest.raises(CredentialsError) as caught:
        find_koocli_keys({}, only_named=False)
    frames = [frame.frame.f_locals for frame in caught.traceback]
    assert SK not in "".join(repr(value) for names in frames for value in names.values())
