"""sam local: the same routes ask who is calling there as on AWS."""

import json
from pathlib import Path

import pytest
from samcli.lib.providers.api_provider import ApiProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider

from holdfast.platform.access import CATCH_ALL, ROUTES
from local import build, sam_local, template

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Asked = dict[tuple[str, str], bool]


def asks_who_is_calling(written: Path) -> Asked:
    """Return, by address and method, whether sam local asks an authorizer."""
    stacks, _ = SamLocalStackProvider.get_stacks(str(written), parameter_overrides={"Stage": "local"})
    routes = ApiProvider(stacks).api.routes
    return {(route.path, method): bool(route.authorizer_name) for route in routes for method in route.methods}


@pytest.fixture(scope="module", name="written")
def _written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("sam-local") / "template.json"
    written.write_text(json.dumps(sam_local.told_apart(template.read(build.build()))))
    return written


def test_sam_local_asks_who_is_calling_where_the_table_of_routes_says_so(written: Path) -> None:
    asked = asks_who_is_calling(written)
    for path, methods in ROUTES.items():
        assert asked[path, "OPTIONS"] is False
        for method, access in methods.items():
            assert asked[path, method] is not access.is_public, f"{method} {path}"
    assert not any(asked[path, "GET"] for path in CATCH_ALL)


def test_a_function_with_routes_of_one_kind_stays_one() -> None:
    resources = sam_local.told_apart(template.read(build.build()))["Resources"]
    assert "PublicVenuesFunction" in resources
    assert "PublicHealthFunction" not in resources
    assert "PublicSweeperFunction" not in resources
