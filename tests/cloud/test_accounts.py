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
    assert account.iam_credential(None, "r") is account.credential(None, "r2", "p2")


def test_a_user_goes_before_keys_and_has_a_token_per_project(sdk):
    """A name, a password and a domain are the next; nothing of the password shows."""
    account = find({**USER, **KEYS})
    assert repr(account) == "IamUser('reader' of 'company')"
    token = account.credential(None, "r", "p1")
    assert repr(token) == "IamTokenCredential(IamUser('reader' of 'company'), {'project': {'id': 'p1'}})"
    assert repr(account.iam_credential(None, "r")).endswith("{'domain': {'name': 'company'}})")


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


@pytest.mark.parametrize("odd", ["a b", "a\u00a0b", "\u201cab\u201d", "a\nb", "a\x00b", "a\u200bb", "a\udcffb"])
@pytest.mark.parametrize("name", ["HW_ACCESS_KEY", "HW_SECRET_KEY", "HW_SECURITY_TOKEN"])
def test_a_key_that_no_header_can_hold_is_refused_before_a_call(name, odd):
    """A key with a space, a line break or a typographic quote is an error that names the variable, and not the key."""
    with pytest.raises(CredentialsError, match=r"HW_ACCESS_KEY has .* not printable ASCII") as caught:
        find({**KEYS, "HW_SECURITY_TOKEN": "temporary", name: f"SECRETPART{odd}"})
    assert "SECRETPART" not in str(caught.value)
    assert caught.value.exit_code == ExitCode.CREDENTIALS


def test_a_key_of_the_sdk_that_no_header_can_hold_is_refused_before_a_call(sdk, monkeypatch):
    """The keys of the vendor's providers are looked at in the same way, and no other provider takes their place."""
    monkeypatch.setenv("HUAWEICLOUD_SDK_SK", "SECRETPART \u201d")
    with pytest.raises(CredentialsError, match="HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK has ") as caught:
        find({})
    assert "SECRETPART" not in str(caught.value)


@pytest.mark.parametrize("odd", ["a\nb", "a\x1bb", "a\x85b", "a\u2028b", "a\udcffb"])
@pytest.mark.parametrize("name", sorted(USER))
def test_a_user_with_control_characters_is_refused_before_a_call(name, odd):
    """Name, password and domain are any text in one line; what is more names the variable, and not the text."""
    with pytest.raises(CredentialsError, match=f"{name} holds a line break or a control character") as caught:
        find({**USER, name: f"SECRETPART{odd}"})
    assert "SECRETPART" not in str(caught.value)
    find({**USER, name: "P\u00e4ss w\u20acrd \u201c"})


@pytest.mark.parametrize("environment", [{}, {"HW_AUTH_TOKEN": ""}, {"HW_AUTH_TOKEN": " \n"}])
def test_no_credential_says_where_to_put_one(environment, monkeypatch):
    """Without a credential the message names the places that are looked in."""
    monkeypatch.setattr("inventory.cloud.access_keys.find_access_keys", lambda: (None, []))
    with pytest.raises(CredentialsError, match=r"HW_AUTH_TOKEN.*--token-file.*HW_USER_NAME.*HUAWEICLOUD_SDK_AK"):
        find(environment)


def accounts(tmp_path, environment, *more):
    """Three accounts: one of variables, one of a profile, one whose variables are not set."""
    profile = tmp_path / "profile"
    profile.write_text("[basic]\nak = AKOFTHEPROFILE000001\nsk = SK%OF%THE%PROFILE\n")
    described = (
        AccountSettings("one", environment="ONE", regions=("r1",)),
        AccountSettings("two", profile=str(profile), regions=("r2",)),
        AccountSettings("three", environment="THREE", regions=("r3",)),
        *more,
    )
    return find_credentials(ExportSettings(accounts=described), environment, {"User-Agent": "us"})


def test_accounts_with_one_secret_try_it_together(tmp_path):
    """Accounts that name the same variables or the same file share user and keys: a dead one is not tried by each."""
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
    """By the beginning of its variables or by a file; one that is missing refuses its own scopes and no others."""
    found = accounts(tmp_path, {"ONE_AUTH_TOKEN": SECRET, "HW_AUTH_TOKEN": "another"})
    assert found.credential(None, "r1", "p").headers(PLACE) == {"X-Auth-Token": SECRET}
    assert "Access=AKOFTHEPROFILE000001," in found.credential(None, "r2", "p").headers(PLACE)["Authorization"]
    with pytest.raises(CredentialRefusedError, match=r"account 'three': no credential: set THREE_AUTH_TOKEN"):
        await found.credential(None, "r3", "p").prepare()
    with pytest.raises(CredentialRefusedError, match=r"no account of the settings file owns r4/p"):
        await found.credential(None, "r4", "p").prepare()
    with pytest.raises(CredentialRefusedError, match=r"owns r4/\.\.\."):
        await found.iam_credential(None, "r4").prepare()
    assert found.iam_credential(None, "r1").headers(PLACE) == {"X-Auth-Token": SECRET}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file"),
        ("ak = AKOFTHEPROFILE000001", "is no INI file with a section"),
        ("[basic]\nak = AKOFTHEPROFILE000001\n", "has no ak and sk"),
        ("[global]\nak = AKOFTHEPROFILE000001\nsk = x\n", "is no INI file with a section"),
        ("[basic]\nak = AKOFTHEPROFILE000001\nsk = \u201cx\u201d\n", "profile .*keys has .* not printable ASCII"),
    ],
)
async def test_a_profile_that_is_none_is_told_without_its_content(tmp_path, content, words):
    """What is wrong with the file, and nothing of what is in it."""
    path = tmp_path / "keys"
    if content is not None:
        path.write_text(content)
    found = accounts(tmp_path, {}, AccountSettings("four", profile=str(path), regions=("r5",)))
    with pytest.raises(CredentialRefusedError, match=words) as caught:
        await found.credential(None, "r5", "p").prepare()
    assert "AKOFTHEPROFILE" not in str(caught.value)


async def test_three_accounts_in_two_regions_in_one_run(tmp_path, write_list):
    """One account is refused, one is down: the third completes, and each scope says how it went."""
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
