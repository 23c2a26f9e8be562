"""The pool of accounts: what it asks of passwords, what it gives out, and that it is never made anew by accident."""

from typing import Any

import pytest

POOL, CLIENT = "UserPool", "UserPoolClient"


@pytest.fixture
def pool(production: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = production["Resources"][POOL]["Properties"]
    return properties


@pytest.fixture
def client(production: dict[str, Any]) -> dict[str, Any]:
    properties: dict[str, Any] = production["Resources"][CLIENT]["Properties"]
    return properties


@pytest.mark.parametrize("name", [POOL, CLIENT])
def test_accounts_outlive_their_stack(built: dict[str, Any], name: str) -> None:
    resource = built["Resources"][name]
    assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_what_would_make_another_pool_or_client_stays_as_it_is(pool: dict[str, Any], client: dict[str, Any]) -> None:
    """CloudFormation replaces a pool or client whose value of these changes: all passwords, or all tokens, are lost."""
    assert pool["UsernameConfiguration"] == {"CaseSensitive": False}
    assert not pool.keys() & {"AliasAttributes", "UsernameAttributes", "Schema"}
    assert client["UserPoolId"] == {"Ref": POOL}
    assert client["GenerateSecret"] is True


def test_production_refuses_to_delete_its_accounts(pool: dict[str, Any], emulated: dict[str, Any]) -> None:
    assert pool["DeletionProtection"] == "ACTIVE"
    assert emulated["Resources"][POOL]["Properties"]["DeletionProtection"] == "INACTIVE"


def test_passwords_are_long_and_mixed(pool: dict[str, Any]) -> None:
    policy = pool["Policies"]["PasswordPolicy"]
    assert policy["MinimumLength"] >= 12
    assert all(policy[f"Require{kind}"] for kind in ("Lowercase", "Uppercase", "Numbers"))
    assert policy["TemporaryPasswordValidityDays"] <= 7


def test_a_second_factor_is_an_apps_code_and_anybodys_choice(pool: dict[str, Any]) -> None:
    assert (pool["MfaConfiguration"], pool["EnabledMfas"]) == ("OPTIONAL", ["SOFTWARE_TOKEN_MFA"])


def test_an_address_is_proved_by_a_code_before_it_counts(pool: dict[str, Any]) -> None:
    assert pool["AutoVerifiedAttributes"] == ["email"]
    assert pool["UserAttributeUpdateSettings"] == {"AttributesRequireVerificationBeforeUpdate": ["email"]}
    assert pool["AccountRecoverySetting"] == {"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]}
    assert pool["VerificationMessageTemplate"]["DefaultEmailOption"] == "CONFIRM_WITH_CODE"


def test_mails_have_what_cognito_refuses_them_without(pool: dict[str, Any]) -> None:
    assert "{####}" in pool["VerificationMessageTemplate"]["EmailMessage"]
    invitation = pool["AdminCreateUserConfig"]["InviteMessageTemplate"]["EmailMessage"]
    assert "{####}" in invitation
    assert "{username}" in invitation


def test_mail_comes_from_ones_own_address_where_there_is_one(pool: dict[str, Any], switched_on: dict[str, Any]) -> None:
    assert pool["EmailConfiguration"] == {"EmailSendingAccount": "COGNITO_DEFAULT"}
    own = switched_on["Resources"][POOL]["Properties"]["EmailConfiguration"]
    assert own["EmailSendingAccount"] == "DEVELOPER"
    assert own["From"] == "no-reply@example.com"


def test_access_is_short_and_sessions_end(client: dict[str, Any]) -> None:
    units = client["TokenValidityUnits"]
    assert (client["AccessTokenValidity"], units["AccessToken"]) == (15, "minutes")
    assert (client["IdTokenValidity"], units["IdToken"]) == (15, "minutes")
    assert (client["RefreshTokenValidity"], units["RefreshToken"]) == (30, "days")
    assert client["EnableTokenRevocation"] is True


def test_only_passwords_and_refreshes_sign_in_and_nobody_learns_who_has_an_account(client: dict[str, Any]) -> None:
    assert set(client["ExplicitAuthFlows"]) == {"ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    assert client["PreventUserExistenceErrors"] == "ENABLED"
    assert not client.keys() & {"AllowedOAuthFlows", "RefreshTokenRotation"}
    assert client["WriteAttributes"] == ["email"]


def test_the_secret_of_the_client_is_in_no_environment(functions: dict[str, dict[str, Any]]) -> None:
    for name, function in functions.items():
        assert "ClientSecret" not in str(function), name


def test_functions_know_the_issuer_and_where_its_keys_are(
    functions: dict[str, dict[str, Any]], emulated: dict[str, Any]
) -> None:
    variables = functions["AuthorizerFunction"]["Environment"]["Variables"]
    assert (
        variables["TOKEN_ISSUER"] == {"Fn::Sub": "https://${UserPool.ProviderName}"}
        or variables["TOKEN_ISSUER"] == "https://${UserPool.ProviderName}"
    )
    assert variables["JWKS_URL"] == "https://${UserPool.ProviderName}/.well-known/jwks.json"
    local = emulated["Resources"]["AuthorizerFunction"]["Properties"]["Environment"]["Variables"]
    assert local["JWKS_URL"] == "http://localhost:3000/${UserPool}/.well-known/jwks.json"
    assert local["TOKEN_ISSUER"] == variables["TOKEN_ISSUER"]
