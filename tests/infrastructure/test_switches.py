"""What parameters switch on: a firewall, a key of the customer's own, a domain. All of them are off by default."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from local import build, template

Resources = dict[str, dict[str, Any]]


def of_type(document: dict[str, Any], kind: str) -> Resources:
    return {name: found["Properties"] for name, found in document["Resources"].items() if found["Type"] == kind}


def test_nothing_is_switched_on_by_itself(production: dict[str, Any], emulated: dict[str, Any]) -> None:
    for document in (production, emulated):
        kinds = {resource["Type"] for resource in document["Resources"].values()}
        assert not [kind for kind in kinds if kind.startswith(("AWS::WAFv2::", "AWS::KMS::"))]
        assert "PublicDomainName" not in document["Resources"]


# ---- Encryption ------------------------------------------------------------------------------------------------------

KEY = {"Fn::GetAtt": ["EncryptionKey", "Arn"]}


def test_without_a_key_of_their_own_queues_are_encrypted_all_the_same(production: dict[str, Any]) -> None:
    for name, queue in of_type(production, "AWS::SQS::Queue").items():
        assert queue["SqsManagedSseEnabled"] is True, name
        assert not queue.keys() & {"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"}, name
    for table in of_type(production, "AWS::DynamoDB::Table").values():
        assert "SSESpecification" not in table


def test_a_key_of_their_own_encrypts_all_that_keeps_data(switched_on: dict[str, Any]) -> None:
    for name, table in of_type(switched_on, "AWS::DynamoDB::Table").items():
        assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}, name
    for name, queue in of_type(switched_on, "AWS::SQS::Queue").items():
        assert queue["KmsMasterKeyId"] == KEY, name
        # SQS takes one or the other: of a queue that exists the other has to be switched off by name.
        assert queue["SqsManagedSseEnabled"] is False, name
    for name, group in of_type(switched_on, "AWS::Logs::LogGroup").items():
        assert group["KmsKeyId"] == KEY, name


def test_the_key_turns_over_and_outlives_its_stack(built: dict[str, Any]) -> None:
    key = built["Resources"]["EncryptionKey"]
    assert key["DeletionPolicy"] == key["UpdateReplacePolicy"] == "Retain"
    assert key["Properties"]["EnableKeyRotation"] is True
    assert key["Properties"]["PendingWindowInDays"] == 30


def test_the_key_is_used_only_through_tables_and_queues_of_this_account_and_by_logs(
    switched_on: dict[str, Any],
) -> None:
    statements = of_type(switched_on, "AWS::KMS::Key")["EncryptionKey"]["KeyPolicy"]["Statement"]
    for statement in statements:
        assert not [action for action in statement["Action"] if "*" in action]
        if statement["Principal"] == {"AWS": "*"}:
            bounds = statement["Condition"]["StringEquals"]
            assert bounds["kms:CallerAccount"] == "000000000000"
            services = bounds["kms:ViaService"]
            through = set(services if isinstance(services, list) else [services])
            assert through <= {"dynamodb.us-east-1.amazonaws.com", "sqs.us-east-1.amazonaws.com"}
    by_who_keeps_it = next(one for one in statements if one["Sid"] == "Administration")
    assert not {"kms:Decrypt", "kms:Encrypt", "kms:CreateGrant"} & set(by_who_keeps_it["Action"])


def test_the_key_is_for_every_log_group_of_the_stack(switched_on: dict[str, Any]) -> None:
    statements = of_type(switched_on, "AWS::KMS::Key")["EncryptionKey"]["KeyPolicy"]["Statement"]
    (pattern,) = next(one for one in statements if one["Sid"] == "Logs")["Condition"]["ArnLike"].values()
    assert pattern == "arn:aws:logs:us-east-1:000000000000:log-group:*holdfast*"
    for name, group in of_type(switched_on, "AWS::Logs::LogGroup").items():
        assert "holdfast" in group["LogGroupName"], name


def test_roles_are_the_same_with_a_key_and_without(built: dict[str, Any], resolved: Callable[..., Any]) -> None:
    on, off = (of_type(resolved(CustomerKey=value), "AWS::IAM::Role") for value in ("true", "false"))
    assert on == off


def test_queues_take_nothing_that_is_not_encrypted_on_its_way(
    production: dict[str, Any], emulated: dict[str, Any]
) -> None:
    policies = of_type(production, "AWS::SQS::QueuePolicy")
    queues = set(of_type(production, "AWS::SQS::Queue"))
    assert {policy["Queues"][0]["Ref"] for policy in policies.values()} == queues
    for policy in policies.values():
        (statement,) = policy["PolicyDocument"]["Statement"]
        assert (statement["Effect"], statement["Principal"]) == ("Deny", "*")
        assert statement["Resource"] == {"Fn::GetAtt": [policy["Queues"][0]["Ref"], "Arn"]}
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    # An emulator is reached without TLS.
    assert not of_type(emulated, "AWS::SQS::QueuePolicy")


# ---- Firewall --------------------------------------------------------------------------------------------------------


@pytest.fixture(name="rules")
def _rules(switched_on: dict[str, Any]) -> dict[str, dict[str, Any]]:
    acl = of_type(switched_on, "AWS::WAFv2::WebACL")["WebAcl"]
    assert acl["Scope"] == "REGIONAL"
    assert acl["DefaultAction"] == {"Allow": {}}
    priorities = [rule["Priority"] for rule in acl["Rules"]]
    assert len(set(priorities)) == len(priorities)
    return {rule["Name"]: rule for rule in acl["Rules"]}


def managed(rule: dict[str, Any]) -> tuple[str, set[str]]:
    """Return a managed rule group, and which of its rules only count."""
    group = rule["Statement"]["ManagedRuleGroupStatement"]
    assert rule["OverrideAction"] == {"None": {}}
    return group["Name"], {one["Name"] for one in group.get("RuleActionOverrides", ())}


def test_the_firewall_stands_before_the_stage(switched_on: dict[str, Any]) -> None:
    association = of_type(switched_on, "AWS::WAFv2::WebACLAssociation")["WebAclAssociation"]
    assert association["WebACLArn"] == {"Fn::GetAtt": ["WebAcl", "Arn"]}
    # The reference to the stage is what makes CloudFormation wait for it.
    assert association["ResourceArn"] == "arn:aws:apigateway:us-east-1::/restapis/${Api}/stages/${ApiStage}"


@pytest.mark.parametrize(("name", "most"), [("requests-per-address", 3000), ("sign-ins-per-address", 100)])
def test_too_many_requests_of_one_address_are_refused_as_everywhere(
    rules: dict[str, dict[str, Any]], switched_on: dict[str, Any], resolved: Callable[..., Any], name: str, most: int
) -> None:
    statement = rules[name]["Statement"]["RateBasedStatement"]
    assert (int(statement["Limit"]), statement["EvaluationWindowSec"]) == (most, 300)
    assert statement["AggregateKeyType"] == "IP"
    response = rules[name]["Action"]["Block"]["CustomResponse"]
    assert response["ResponseCode"] == 429
    bodies = of_type(switched_on, "AWS::WAFv2::WebACL")["WebAcl"]["CustomResponseBodies"]
    body = json.loads(bodies[response["CustomResponseBodyKey"]]["Content"])
    assert (body["success"], body["code"]) == (False, "too_many_requests")
    wait = str(body["retry_after"])
    own = {
        "Cache-Control": "no-store",
        "RateLimit-Limit": str(most),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": wait,
        "Retry-After": wait,
        "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
        "X-Content-Type-Options": "nosniff",
    }
    shared = {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Expose-Headers": "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After",
    }
    assert {header["Name"]: str(header["Value"]) for header in response["ResponseHeaders"]} == own | shared
    (acl,) = of_type(resolved(Firewall="true"), "AWS::WAFv2::WebACL").values()
    alone = next(rule for rule in acl["Rules"] if rule["Name"] == name)["Action"]["Block"]["CustomResponse"]
    assert {header["Name"]: str(header["Value"]) for header in alone["ResponseHeaders"]} == own


def test_of_one_address_sign_ins_are_counted_apart_and_neither_refreshes_nor_lists(
    rules: dict[str, dict[str, Any]],
) -> None:
    asked = rules["sign-ins-per-address"]["Statement"]["RateBasedStatement"]["ScopeDownStatement"]
    method, inside, but = asked["AndStatement"]["Statements"]
    assert method["ByteMatchStatement"]["FieldToMatch"] == {"Method": {}}
    assert method["ByteMatchStatement"]["SearchString"] == "POST"
    assert inside["ByteMatchStatement"]["PositionalConstraint"] == "CONTAINS"
    assert inside["ByteMatchStatement"]["SearchString"] == "/api/users/"
    decoded = [one["Type"] for one in inside["ByteMatchStatement"]["TextTransformations"]]
    assert decoded == ["URL_DECODE", "NORMALIZE_PATH"]
    assert but["NotStatement"]["Statement"]["ByteMatchStatement"]["SearchString"] == "/api/users/refresh"


def test_managed_rules_keep_out_bad_addresses_attacks_and_bots_but_no_seat_maps_and_no_servers(
    rules: dict[str, dict[str, Any]],
) -> None:
    assert managed(rules["bad-addresses"]) == ("AWSManagedRulesAmazonIpReputationList", set())
    assert managed(rules["bad-inputs"]) == ("AWSManagedRulesKnownBadInputsRuleSet", set())
    assert managed(rules["attacks"]) == (
        "AWSManagedRulesCommonRuleSet",
        {"SizeRestrictions_BODY", "NoUserAgent_HEADER"},
    )
    name, counted = managed(rules["bots"])
    assert name == "AWSManagedRulesBotControlRuleSet"
    assert counted == {"CategoryHttpLibrary", "SignalNonBrowserUserAgent"}
    beyond = rules["bots"]["Statement"]["ManagedRuleGroupStatement"]["ScopeDownStatement"]["NotStatement"]
    assert beyond["Statement"]["ByteMatchStatement"]["SearchString"] == "/webhooks/"


def test_the_firewall_logs_what_it_stopped_and_no_credential_or_path(switched_on: dict[str, Any]) -> None:
    logging = of_type(switched_on, "AWS::WAFv2::LoggingConfiguration")["WebAclLogging"]
    hidden = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"] if "SingleHeader" in field}
    assert {"authorization", "cookie", "x-captcha-token"} <= hidden
    assert {"QueryString": {}} in logging["RedactedFields"]
    assert {"UriPath": {}} in logging["RedactedFields"]
    assert logging["LoggingFilter"]["DefaultBehavior"] == "DROP"
    (destination,) = logging["LogDestinationConfigs"]
    assert destination.endswith(":log-group:${WebAclLogGroup}")
    name = of_type(switched_on, "AWS::Logs::LogGroup")["WebAclLogGroup"]["LogGroupName"]
    assert name.startswith("aws-waf-logs-")


# ---- Partners --------------------------------------------------------------------------------------------------------

SYNCHRONISING = {"Partners": '{"tours": {"adapter": "inventory", "base_url": "https://api.example.com"}}'}


def test_without_partners_nothing_asks_whether_there_is_anything_to_ask_them(
    production: dict[str, Any], resolved: Callable[..., Any]
) -> None:
    for document, state, enabled in ((production, "DISABLED", False), (resolved(**SYNCHRONISING), "ENABLED", True)):
        schedules = of_type(document, "AWS::Scheduler::Schedule")
        states = {name: schedule.get("State", "ENABLED") for name, schedule in schedules.items()}
        of_the_planner = {name for name in states if name.startswith("SyncPlanner")}
        assert len(of_the_planner) == 4
        assert {states[name] for name in of_the_planner} == {state}
        assert {states[name] for name in states.keys() - of_the_planner} == {"ENABLED"}
        fetching = of_type(document, "AWS::Lambda::EventSourceMapping")["SyncFetcherFunctionSyncQueue"]
        assert fetching["Enabled"] is enabled


def test_schedules_say_which_horizon_they_are_for(production: dict[str, Any]) -> None:
    schedules = of_type(production, "AWS::Scheduler::Schedule").values()
    found = {
        schedule["ScheduleExpression"]: json.loads(schedule["Target"]["Input"])
        for schedule in schedules
        if "-sync-" in schedule["Name"]
    }
    assert found == {
        "rate(1 minute)": {},
        "rate(15 minutes)": {"horizon": "today"},
        "rate(4 hours)": {"horizon": "week"},
        "rate(1 day)": {"horizon": "month"},
    }


# ---- Domain ----------------------------------------------------------------------------------------------------------


def test_every_tenant_has_a_host_of_its_own_under_the_domain_and_tls_is_no_older_than_1_2(
    switched_on: dict[str, Any],
) -> None:
    domain = of_type(switched_on, "AWS::ApiGateway::DomainName")["PublicDomainName"]
    assert domain["DomainName"] == "*.example.com"
    assert domain["SecurityPolicy"] == "TLS_1_2"
    assert domain["RegionalCertificateArn"].startswith("arn:aws:acm:")
    mapping = of_type(switched_on, "AWS::ApiGateway::BasePathMapping")["PublicBasePathMapping"]
    assert mapping == {
        "DomainName": {"Ref": "PublicDomainName"},
        "RestApiId": {"Ref": "Api"},
        "Stage": {"Ref": "ApiStage"},
    }


def test_there_is_no_way_round_the_domain(production: dict[str, Any], switched_on: dict[str, Any]) -> None:
    for document, closed in ((switched_on, True), (production, False)):
        (server,) = of_type(document, "AWS::ApiGateway::RestApi")["Api"]["Body"]["servers"]
        assert server["x-amazon-apigateway-endpoint-configuration"] == {"disableExecuteApiEndpoint": closed}
    assert switched_on["Outputs"]["ApiUrl"]["Value"] == "https://api.example.com"


def test_functions_know_the_domain_and_the_origins(production: dict[str, Any], switched_on: dict[str, Any]) -> None:
    def known(document: dict[str, Any]) -> set[tuple[str, str]]:
        functions = of_type(document, "AWS::Lambda::Function").values()
        variables = [function["Environment"]["Variables"] for function in functions]
        return {(found["PUBLIC_DOMAIN"], found["ALLOWED_ORIGINS"]) for found in variables}

    assert known(production) == {("", "")}
    assert known(switched_on) == {("example.com", "*")}


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (
            "AllowedOrigins",
            ["", "*", "https://a.example.com,http://localhost:5173"],
            ["a.example.com", "*,https://a.b"],
        ),
        (
            "PublicDomain",
            ["", "example.com", "shop.example.co.uk"],
            ["*.example.com", "example", "Example.com", "a..b"],
        ),
        (
            "Partners",
            ["{}", '{"tours": {"adapter": "inventory", "base_url": "https://tours.example"}}', '{\n  "a": {}\n}'],
            ["", "tours", "[]"],
        ),
    ],
)
def test_parameters_take_what_functions_can_read(
    built: dict[str, Any], parameter: str, good: list[str], bad: list[str]
) -> None:
    import re

    pattern = built["Parameters"][parameter]["AllowedPattern"]
    assert all(re.fullmatch(pattern, text) for text in good)
    assert not any(re.fullmatch(pattern, text) for text in bad)


@pytest.mark.parametrize("parameters", [{"AllowedOrigins": "https://a.example"}, {"PublicDomain": "example.com"}])
def test_another_origin_or_domain_is_deployed_to_a_stage_that_stands(
    monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]
) -> None:
    """What differs by a parameter is one text to SAM, which names deployments by their text unless told not to."""

    def deployment(now: float, **given: str) -> str:
        monkeypatch.setattr("samtranslator.model.apigateway.time.time", lambda: now)
        translated = template.resolved(template.transformed(template.read(build.build())), Stage="prod", **given)
        (name,) = of_type(translated, "AWS::ApiGateway::Deployment")
        return name

    before, after = deployment(1_900_000_000), deployment(1_900_000_060, **parameters)
    assert before != after
