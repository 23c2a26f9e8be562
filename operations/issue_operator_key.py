"""Issue an operator's key on a deployed stage: `python -m operations.issue_operator_key --stack holdfast-dev`.

Operators make and suspend tenants; their keys are of a tenant of their own, which is made with the first of them. The
key is printed once and kept nowhere; only its hash is stored. It runs with the AWS credentials and region of the shell,
which need to read the stack's outputs and to write its identity table.
"""

import argparse
import sys

from botocore.exceptions import BotoCoreError, ClientError

from holdfast.identity import service_keys, tenants
from holdfast.identity.people import Directory
from holdfast.platform.dynamodb import connect
from holdfast.platform.errors import HoldfastError
from holdfast.platform.tables import OPERATOR_TENANT
from operations.issue_service_key import identity_table

LABEL = "issued by hand"


def issue(table_name: str, label: str = LABEL) -> str:
    """Issue a key to the operators, whose tenant is made if it is not there, into the identity table of that name."""
    directory = Directory(connect(table_name))
    tenants.establish_operators(directory)
    roles = service_keys.roles_given_by(OPERATOR_TENANT)
    return service_keys.issue(directory.store, directory.clock, OPERATOR_TENANT, roles, label)


def main() -> int:
    """Issue a key; a failure is one sentence and exit code 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", required=True, help="the CloudFormation stack, such as holdfast-dev")
    parser.add_argument("--label", default=LABEL, help="whose the key is")
    wanted = parser.parse_args()
    try:
        print(issue(identity_table(wanted.stack), wanted.label))
    except (BotoCoreError, ClientError, HoldfastError, KeyError) as wrong:
        print(f"No key was issued: {wrong}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
