"""`make run`: Holdfast on this machine, with something to sell, until Ctrl-C."""

import argparse
import sys
import time

from local import build, demo
from local.partner import Partner
from local.stack import Stack
from local.terminal import Failure, Steps, Stopped, fail, stop_when_asked

_PORTS = range(1, 65_535)
"""The ports that there are and that have one after them, for the partner."""


def serve(port: int) -> None:
    """Build, start, deploy, load, and serve until stopped."""
    if port not in _PORTS:
        raise Failure(f"port {port} cannot be served; choose one from 1 to {_PORTS[-1]}: make run PORT=4000")
    steps = Steps(5)
    stack, partner = Stack(port), Partner(port + 1)
    demo_file = build.STATE / "demo.json"
    try:
        steps.begin(f"Starting an emulated AWS on port {port} and a partner on port {partner.port}")
        stack.start()
        partner.start()
        steps.begin("Building functions and layers")
        build.build()
        steps.begin("Deploying template.yaml")
        stack.deploy(Partners=partner.parameter)
        partner.keep_key(stack)
        steps.begin("Loading demo data")
        loaded = demo.load(stack, partner)
        steps.begin("Warming the functions up")
        demo.warm(stack, loaded)
        loaded.write(demo_file)
        _print_ready(loaded, steps.seconds())
        while stack.is_running():
            time.sleep(0.5)
        raise Failure(f"the emulated AWS ended; its log is {stack.log}")
    finally:
        demo_file.unlink(missing_ok=True)
        stack.stop()
        partner.stop()


def _print_ready(loaded: demo.Demo, seconds: float) -> None:
    print(
        f"""
Holdfast is ready after {seconds:.0f} s.

  API            {loaded.base_url}
  Documentation  {loaded.base_url}/api/v1/docs
  Service key    {loaded.service_key}   (tenant {loaded.tenant}; may act for any user)
  Operator key   {loaded.operator_key}   (makes tenants)
{_accounts(loaded)}
{_on_sale(loaded)}

Reserve one piece; paste this into another terminal:

{loaded.reserve_command()}

The same is in .local/demo.json. Ctrl-C stops everything.
""",
        flush=True,
    )


def _accounts(loaded: demo.Demo) -> str:
    """Who can sign in, a line each."""
    lines = [f"    {person['role']:<10} {person['email']:<24} {person['password']}" for person in loaded.accounts]
    return "\n".join(["  Accounts       POST /api/users/signin, X-Tenant-Id: " + loaded.tenant, *lines])


def _on_sale(loaded: demo.Demo) -> str:
    """What a newcomer can try, a line each, under the ids that the API knows it by."""
    event, hall = loaded.event, loaded.hall
    lines = {
        "Products": [(product["id"], f"{product['name']} ({product['total_stock']})") for product in loaded.products],
        f"Event {event['id']}, {event['name']}": [
            (kind["ticketTypeId"], f"{kind['ticketType']} ({kind['quantity']})") for kind in event["ticketTypes"]
        ],
        "Hall": [(hall["id"], f"{hall['name']} (up to {hall['capacity']} guests)")],
        "Resale tickets": [
            (ticket["id"], f"{ticket['title']} (sold by {ticket['userId']})") for ticket in loaded.tickets
        ],
        f"Experiences of the partner at {loaded.partner_url}, being synchronised": [
            (each["id"], f"{each['name']} ({', '.join(each['weekdays'])})") for each in loaded.experiences
        ],
    }
    return "\n".join(
        line
        for heading, things in lines.items()
        for line in (f"  {heading}", *(f"    {number!s:<6} {text}" for number, text in things))
    )


def main() -> int:
    """Serve; a failure is one sentence and exit code 1, being asked to stop is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="where the API is served on 127.0.0.1")
    port = parser.parse_args().port
    stop_when_asked()
    try:
        serve(port)
    except Failure as failure:
        return fail(failure)
    except Stopped:
        print("\nHoldfast has stopped.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
