"""Where a credential is looked for, and in which order."""

from __future__ import annotations

from collections import Counter

import pytest
from support.runs import export, rows
from yarl import URL

from inventory.cloud.accounts import find_account_credentials, find_credentials
from inventory.emulator import Emulator, GeneratedCloud
from inventory.errors import CredentialRefusedError, CredentialsError, ExitCode, SettingsError
from inventory.settings import AccountSettings, ExportSettings

SECRET = "MIIRxgYJKoZIhvcNAQcCoIIR+tz-CCEbMCAQExDTALBglghkgBZQM/AQ=="
PLACE = URL("https://fg.example/v2/p1/fgs/functions/urn:fss:r:p1:function:default:f:!a/async-invoke-config")
USER = {"HW_USER_NAME": "reader", "HW_USER_PASSWORD": "a-long-password-of-ours", "HW_DOMAIN_NAME": "company"}
KEYS = {"HW_ACCESS_KEY": "AKOFTERRAFORM0000001", "HW_SECRET_KEY": "SKOFTERRAFORM0000000000000000000000001"}
SDK = {"HUAWEICLOUD_SDK_AK": "AKOFTHESDK0000000001", "HUAWEICLOUD_SDK_SK": "SKOFTHESDK0000000000000000000000000001"}


def find(environment, token_file=None):
    return find_account_credentials(token_file, environment, "https://iam.{}.example".format, {"User-Agent": "us"})


@pytest.fixture
def sdk(monkeypatch):
    for name, value in SDK.items():
        monkeypatch.setenv(name, value)


def headers_of(account):
    return account.credential(None, "r", "p1").headers(PLACE)


def test_token_file_has_priority(tmp_path, sdk):
    path = tmp_path / "token"
    path.write_text(f"\n  {SECRET}\r\n")
    everything = {"HW_AUTH_TOKEN": "other-token", **USER, **KEYS}
    assert headers_of(find(everything, path)) == {"X-Auth-Token": SECRET}


def test_token_is_next(sdk):
    account = find({"HW_AUTH_TOKEN": SECRET, **USER, **KEYS})
    assert headers_of(account) == {"X-Auth-Token": SECRET}
    assert account.iam_credential(None, "r") is account.credential(None, "r2", "p2")


def test_user_is_next(sdk):
    account = find({**USER, **KEYS})
    assert repr(account) == "IamUser('reader' of 'company')"
    token = account.credential(None, "r", "p1")
    assert repr(token) == "IamTokenCredential(IamUser('reader' of 'company'), {'project': {'id': 'p1'}})"
    assert repr(account.iam_credential(None, "r")).endswith("{'domain': {'name': 'company'}})")


def test_terraform_keys_have_priority_over_the_sdk(sdk):
    signed = headers_of(find({**KEYS, "HW_SECURITY_TOKEN": "temporary-token-of-terraform"}))
    assert "Access=AKOFTERRAFORM0000001," in signed["Authorization"]
    assert signed["X-Security-Token"] == "temporary-token-of-terraform"
    assert "X-Security-Token" not in headers_of(find(KEYS))


def test_sdk_is_last(sdk):
    account = find({})
    assert "Access=AKOFTHESDK0000000001," in headers_of(account)["Authorization"]
    assert not any(secret in repr(account) for secret in SDK.values())


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        (
            {"HW_USER_NAME": "reader"},
            "HW_USER_NAME alone is not a credential; also set HW_USER_PASSWORD and HW_DOMAIN_NAME",
        ),
        (
            {**USER, "HW_USER_NAME": " "},
            "HW_USER_PASSWORD, HW_DOMAIN_NAME alone is not a credential; also set HW_USER_NAME",
        ),
        ({"HW_SECRET_KEY": "x"}, "HW_SECRET_KEY alone is not a credential; also set HW_ACCESS_KEY"),
    ],
)
def test_incomplete_credential_is_an_error(environment, words):
    with pytest.raises(CredentialsError) as caught:
        find(environment)
    assert str(caught.value) == words


@pytest.mark.parametrize("odd", ["a b", "a\u00a0b", "\u201cab\u201d", "a\nb", "a\x00b", "a\u200bb", "a\udcffb"])
@pytest.mark.parametrize("name", ["HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"])
def test_invalid_key_is_refused(name, odd):
    with pytest.raises(CredentialsError, match=r"HW_ACCESS_KEY has .* not printable ASCII") as caught:
        find({**KEYS, "HW_SECURITY_TOKEN": "temporary", name: f"SECRETPART{odd}"})
    assert "SECRETPART" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.CREDENTIALS


def test_invalid_sdk_key_is_refused(sdk, monkeypatch):
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "SECRETPART \u201d")
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK has ") as caught:
        find({})
    assert "SECRETPART" not in str(caught.value)


@pytest.mark.parametrize("odd", ["a\nb", "a\x1bb", "a\x85b", "a\u2028b", "a\udcffb"])
@pytest.mark.parametrize("name", sorted(USER))
def test_control_characters_in_the_user_are_refused(name, odd):
    with pytest.raises(CredentialsError, match=f"{name} contains a line break or control character") as caught:
        find({**USER, name: f"SECRETPART{odd}"})
    assert "SECRETPART" not in str(caught.value)
    find({**USER, name: "P\u00e4ss w\u20acrd \u201c"})


@pytest.mark.parametrize("environment", [{}, {"HW_AUTH_TOKEN": ""}, {"HW_AUTH_TOKEN": " \n"}])
def test_missing_credential_lists_the_options(environment, monkeypatch):
    monkeypatch.setattr("inventory.cloud.access_keys.find_access_keys", lambda: (None, []))
    with pytest.raises(CredentialsError, match=r"HW_AUTH_TOKEN.*--token-file.*HW_USER_NAME.*HUAWEICLOUD_SDK_AK"):
        find(environment)


def accounts(tmp_path, environment, *more):
    profile = tmp_path / "profile"
    profile.write_text("[basic]\nak = AKOFTHEPROFILE000001\nsk = SK%OF%THE%PROFILE\n")
    described = (
        AccountSettings("one", environment="ONE", regions=("r1",)),
        AccountSettings("two", profile=str(profile), regions=("r2",)),
        AccountSettings("three", environment="THREE", regions=("r3",)),
        *more,
    )
    return find_credentials(ExportSettings(accounts=described), environment, {"User-Agent": "us"})


def test_accounts_share_one_secret(tmp_path):
    shared = [AccountSettings(name, environment="ONE", regions=(f"x{name}",)) for name in ("a", "b")]
    profile = tmp_path / "keys"
    profile.write_text("[basic]\nak = AKOFTHEPROFILE000001\nsk = SKOFTHEPROFILE\n")
    shared += [AccountSettings(name, profile=str(profile), regions=(f"x{name}",)) for name in ("c", "d")]
    environment = {name.replace("HW", "ONE"): value for name, value in USER.items()}
    found = accounts(tmp_path, environment, *shared)
    trials = [found.named(name)._user.lockout for name in ("one", "a", "b")]
    assert trials == trials[:1] * 3
    assert found.credential(None, "xc", "p").lockout is found.credential(None, "xd", "p").lockout
    assert found.credential(None, "xc", "p").lockout is not found.credential(None, "r2", "p").lockout


async def test_each_account_has_its_own_credential(tmp_path, sdk):
    found = accounts(tmp_path, {"ONE_AUTH_TOKEN": SECRET, "HW_AUTH_TOKEN": "another"})
    assert found.credential(None, "r1", "p").headers(PLACE) == {"X-Auth-Token": SECRET}
    assert "Access=AKOFTHEPROFILE000001," in found.credential(None, "r2", "p").headers(PLACE)["Authorization"]
    with pytest.raises(CredentialRefusedError, match=r"account 'three': no credential: set THREE_AUTH_TOKEN"):
        await found.credential(None, "r3", "p").prepare()
    with pytest.raises(CredentialRefusedError, match=r"no account in the settings file covers r4/p"):
        await found.credential(None, "r4", "p").prepare()
    with pytest.raises(CredentialRefusedError, match=r"covers r4/\.\.\."):
        await found.iam_credential(None, "r4").prepare()
    assert found.iam_credential(None, "r1").headers(PLACE) == {"X-Auth-Token": SECRET}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("ak = AKOFTHEPROFILE000001", "is not an INI file with a section"),
        ("[basic]\nak = AKOFTHEPROFILE000001\n", "has no ak and sk"),
        ("[global]\nak = AKOFTHEPROFILE000001\nsk = x\n", "is not an INI file with a section"),
        ("[basic]\nak = AKOFTHEPROFILE000001\nsk = \u201cx\u201d\n", "profile .*keys has .* not printable ASCII"),
    ],
)
async def test_invalid_profile_is_not_quoted(tmp_path, content, words):
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    found = accounts(tmp_path, {}, AccountSettings("four", profile=str(path), regions=("r5",)))
    with pytest.raises(CredentialRefusedError, match=words) as caught:
        await found.credential(None, "r5", "p").prepare()
    assert "AKOFTHEPROFILE" not in str(caught.value)


async def test_failing_accounts_do_not_stop_others(tmp_path, write_list):
    clouds = [GeneratedCloud(20, seed=seed, regions=("cn-north-4", "ap-southeast-1")) for seed in range(3)]
    urns = [urn for cloud in clouds for urn in cloud.urns()]
    async with Emulator(clouds[0], token="token-of-the-first") as good, Emulator(clouds[1], token="right") as refusing:
        described = tuple(
            AccountSettings(
                name,
                environment=name.upper(),
                projects=tuple(scope.project_id for scope in cloud.scopes),
                endpoint=url,
                max_workers=2,
            )
            for name, cloud, url in zip(
                ("good", "refused", "down"), clouds, (good.url, refusing.url, "http://127.0.0.1:1"), strict=True
            )
        )
        result = await export(
            write_list(urns),
            tmp_path / "run",
            environment={f"{name}_AUTH_TOKEN": "token-of-the-first" for name in ("GOOD", "REFUSED", "DOWN")},
            accounts=described,
            attempts=1,
        )
        assert set(refusing.counts) == {401}
        assert refusing.counts[401] <= 6
    assert result.exit_code == ExitCode.CREDENTIALS
    stops = {scope["endpoint"]: (scope["stopped"] or "").split(":")[0] for scope in result.manifest["scopes"]}
    assert stops == {good.url: "", refusing.url: "refused", "http://127.0.0.1:1": "connection"}
    status = Counter((row["project_id"], row["status"]) for row in rows(tmp_path / "run"))
    for scope in clouds[0].scopes:
        assert not status[scope.project_id, "failed"] + status[scope.project_id, "not_attempted"]
    everything = b"".join(file.read_bytes() for file in (tmp_path / "run").iterdir())
    assert b"token-of-the-first" not in everything
    with pytest.raises(SettingsError, match=r"the endpoint of .* was .* when this run began"):
        await export(
            [],
            tmp_path / "run",
            mode="resume",
            environment={},
            accounts=(AccountSettings("good", endpoint="https://elsewhere.example"),),
        )
