"""The AWS SDK, as much of it as one table needs: less to read at a cold start, less to compose for each request."""

from typing import Any

from botocore.config import Config
from botocore.loaders import Loader
from botocore.session import Session
from pynamodb.connection import Connection

SERVICE = "dynamodb"
_OF_CREDENTIALS = ("sts", "sso", "sso-oidc", "signin")


class _Models(Loader):
    """The SDK's own data files, but for two that a client of DynamoDB can do without.

    To find the newest model of a service, the SDK looks through the folders of all services, twice. To find a region's
    partition, it reads the endpoints of every service in every region (700 KB), all of which the service's own rules
    have replaced; the short list of partitions says the same of a region.
    """

    def list_available_services(self, type_name: str) -> list[str]:
        """Return the service that is used, and those that a shell's credentials may have to be asked of."""
        return [SERVICE, *_OF_CREDENTIALS]

    def load_data_with_path(self, name: str) -> tuple[Any, str]:
        """Return a data file, and where it was found."""
        if name != "endpoints":
            return super().load_data_with_path(name)
        known, path = super().load_data_with_path("partitions")
        return {"partitions": [_with_endpoints(partition) for partition in known["partitions"]]}, path


def _with_endpoints(partition: dict[str, Any]) -> dict[str, Any]:
    plain, dual = partition["outputs"]["dnsSuffix"], partition["outputs"]["dualStackDnsSuffix"]
    return {
        "partition": partition["id"],
        "dnsSuffix": plain,
        "regionRegex": partition["regionRegex"],
        "regions": partition["regions"],
        "defaults": {
            "hostname": "{service}.{region}.{dnsSuffix}",
            "protocols": ["https"],
            "signatureVersions": ["v4"],
            "variants": [
                {"tags": ["fips"], "hostname": "{service}-fips.{region}.{dnsSuffix}", "dnsSuffix": plain},
                {"tags": ["dualstack"], "hostname": "{service}.{region}.{dnsSuffix}", "dnsSuffix": dual},
                {"tags": ["dualstack", "fips"], "hostname": "{service}-fips.{region}.{dnsSuffix}", "dnsSuffix": dual},
            ],
        },
        "services": {SERVICE: {"endpoints": {region: {} for region in partition["regions"]}}},
    }


class TableConnection(Connection):
    """PynamoDB's connection, in a session of its own that names itself in a word.

    The SDK's own account of itself is put together anew for each request, out of thirty parts.
    """

    _own_session: Session | None = None

    @property
    def session(self) -> Session:
        """Return the one session; functions handle one request at a time."""
        if self._own_session is None:
            self._own_session = Session()
            self._own_session.register_component("data_loader", _Models())
            self._own_session.set_default_client_config(Config(user_agent="holdfast"))
        return self._own_session
