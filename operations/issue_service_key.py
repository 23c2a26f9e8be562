"""Issue a service key on a deployed stage: `python -m operations.issue_service_key --stack holdfast-dev --tenant acme`.

The key is printed once and kept nowhere; only its hash is stored. It runs with the AWS credentials and region of the
shell, which need to read the stack's outputs and to write its identity table.
"""

import argparse
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from holdfast.identity import tenants
from holdfast.identity.people import Directory
from holdfast.identity.service_keys import ROLES, issue
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError, TenantExists, TenantNotFound


def identity_table(stack: str) -> str:
    """Return the name of the stack's identity table; raises KeyError where it has no such output."""
    found = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}
    return outputs["IdentityTableName"]


def issue_to(directory: Directory, tenant: str, roles: list[str], label: str, *, create_tenant: bool) -> str:
    """Issue a key to a tenant that is there, or is made if that is wanted; raises TenantNotFound and ValueError."""
    if tenant in tenants.RESERVED:
        raise ValueError(f"{tenant} is reserved")
    try:
        tenants.get(directory, tenant)
    except TenantNotFound:
        if not create_tenant:
            raise
        try:
            tenants.create(directory, tenant, tenant)
        except TenantExists:
            tenants.get(directory, tenant)
    return issue(directory.store, directory.clock, tenant, roles, label)


def main() -> int:
    """Issue a key; a failure is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", required=True, help="the CloudFormation stack, such as holdfast-dev")
    parser.add_argument("--tenant", required=True, help="1 to 40 small letters, digits and hyphens")
    parser.add_argument("--label", default="issued by an operator", help="what the key is for")
    parser.add_argument("--role", action="append", choices=ROLES, help="may be given more than once; all by default")
    parser.add_argument("--create-tenant", action="store_true", help="make the tenant where it does not exist")
    wanted = parser.parse_args()
    try:
        directory = Directory(connect(identity_table(wanted.stack)))
        roles = wanted.role or list(ROLES)
        print(issue_to(directory, wanted.tenant, roles, wanted.label, create_tenant=wanted.create_tenant))
    except TenantNotFound:
        print(f"No key was issued: there is no tenant {wanted.tenant}; --create-tenant makes it.", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError, HoldfastError, KeyError, ValueError) as wrong:
        print(f"No key was issued: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
