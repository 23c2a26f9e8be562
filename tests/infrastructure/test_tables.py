"""Tables: as the code that reads and writes them declares, and hard to lose."""

from typing import Any

import pytest

from holdfast.platform.tables import IDENTITY_SCHEMA, SYNC_SCHEMA, TABLE_SCHEMA

TABLES = {"Table": TABLE_SCHEMA, "IdentityTable": IDENTITY_SCHEMA, "SyncTable": SYNC_SCHEMA}
KEPT_SAFE = {"PointInTimeRecoverySpecification", "DeletionProtectionEnabled"}


def test_there_is_no_table_that_the_code_does_not_declare(built: dict[str, Any]) -> None:
    declared = {name for name, resource in built["Resources"].items() if resource["Type"] == "AWS::DynamoDB::Table"}
    assert declared == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_the_schema_is_the_one_the_code_declares(production: dict[str, Any], name: str) -> None:
    properties = production["Resources"][name]["Properties"]
    assert {key: value for key, value in properties.items() if key not in KEPT_SAFE} == TABLES[name]


@pytest.mark.parametrize("name", TABLES)
def test_tables_outlive_their_stack(built: dict[str, Any], name: str) -> None:
    table = built["Resources"][name]
    assert table["DeletionPolicy"] == table["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", TABLES)
def test_production_keeps_backups_and_refuses_deletion(
    production: dict[str, Any], emulated: dict[str, Any], name: str
) -> None:
    kept = production["Resources"][name]["Properties"]
    assert kept["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert kept["DeletionProtectionEnabled"] is True
    assert emulated["Resources"][name]["Properties"]["DeletionProtectionEnabled"] is False
