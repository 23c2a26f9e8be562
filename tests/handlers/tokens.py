"""Access tokens as a user pool gives them, good ones and all kinds of bad ones, and the keys that it publishes."""

import hashlib
import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm

from holdfast.platform.dynamodb import Put, Store
from holdfast.platform.identity_items import PersonItem
from holdfast.platform.tables import Keys
from tests.handlers.gateway import LambdaContext, load

CLIENT_ID = "client-of-the-tests"
ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_tests"
"""As the environment of the handlers' tests has them."""

KID = "the/key+of=the-tests="
ARN = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/POST/api/reserve"


@cache
def private_key(kid: str, bits: int = 2048) -> RSAPrivateKey:
    """Return the pool's private key of this id, the same whenever it is asked for."""
    return generate_private_key(65537, bits)


def jwk_of(kid: str = KID, **other: Any) -> dict[str, Any]:
    """Return the public key of this id as the pool publishes it, but for what is said otherwise."""
    published = RSAAlgorithm.to_jwk(private_key(kid).public_key(), as_dict=True)
    return {key: published[key] for key in ("kty", "n", "e")} | {"alg": "RS256", "use": "sig", "kid": kid} | other


class JwksServer:
    """Where the pool publishes its keys: over HTTP on 127.0.0.1, with what else may come of asking there."""

    def __init__(self) -> None:
        """Listen, with the one key of the tests."""
        self.keys: list[Any] = [jwk_of()]
        self.status = 200
        self.body: bytes | None = None
        self.delay = 0.0
        self.asked = 0
        pool = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pool.asked += 1
                time.sleep(pool.delay)
                body = json.dumps({"keys": pool.keys}).encode() if pool.body is None else pool.body
                self.send_response(pool.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/us-east-1_tests/.well-known/jwks.json"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def published() -> Iterator[JwksServer]:
    """Publish the keys of the tests for a while; the setting JWKS_URL has to be its `url`."""
    server = JwksServer()
    try:
        yield server
    finally:
        server.stop()


def claims(tenant: str, user_id: str, **other: Any) -> dict[str, Any]:
    """Return what a good token says, but for what is said otherwise; a claim that is None is left out."""
    now = int(time.time())
    said = {
        "sub": "0d9f4a34-0000-4000-8000-000000000001",
        "iss": ISSUER,
        "token_use": "access",
        "client_id": CLIENT_ID,
        "scope": "aws.cognito.signin.user.admin",
        "username": f"{tenant}.{user_id}",
        "iat": now,
        "auth_time": now,
        "exp": now + 900,
        "jti": "0d9f4a34-0000-4000-8000-000000000002",
        "origin_jti": "0d9f4a34-0000-4000-8000-000000000003",
    } | other
    return {name: value for name, value in said.items() if value is not None}


def signed(said: Mapping[str, Any], kid: str = KID, names: str | None = None) -> str:
    """Return a token that says this, signed with the key of an id; `names` is another id for its header to name."""
    return jwt.encode(dict(said), private_key(kid), algorithm="RS256", headers={"kid": names or kid})


def good(tenant: str, user_id: str, since: int | None = None) -> str:
    """Return a good token, given at `since` (seconds), which is now unless it is said."""
    return signed(claims(tenant, user_id, **({} if since is None else {"iat": since, "auth_time": since})))


def expired(tenant: str, user_id: str) -> str:
    """Return one whose time is over."""
    now = int(time.time())
    return signed(claims(tenant, user_id, iat=now - 1000, auth_time=now - 1000, exp=now - 100))


def of_another_issuer(tenant: str, user_id: str) -> str:
    """Return one of another pool in the same region."""
    return signed(claims(tenant, user_id, iss=ISSUER.replace("_tests", "_others")))


def of_another_client(tenant: str, user_id: str) -> str:
    """Return one that another client of the pool was given."""
    return signed(claims(tenant, user_id, client_id="another-client"))


def id_token(tenant: str, user_id: str) -> str:
    """Return what tells a client who signed in, and is no credential."""
    other = {"token_use": "id", "aud": CLIENT_ID, "cognito:username": f"{tenant}.{user_id}"}
    return signed(claims(tenant, user_id, **other))


def unsigned(tenant: str, user_id: str) -> str:
    """Return one of algorithm none."""
    return _by_hand({"alg": "none", "kid": KID}, claims(tenant, user_id), b"")


def signed_with_the_public_key(tenant: str, user_id: str) -> str:
    """Return one of HS256, whose secret is the public key that everybody knows."""
    public = private_key(KID).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return _by_hand({"alg": "HS256", "kid": KID}, claims(tenant, user_id), public)


def of_an_unknown_key(tenant: str, user_id: str) -> str:
    """Return one of a key that the pool does not publish."""
    return signed(claims(tenant, user_id), kid="unknown")


def of_a_forged_key(tenant: str, user_id: str) -> str:
    """Return one of another key under the id of the pool's own."""
    return signed(claims(tenant, user_id), kid="forged", names=KID)


def without_a_username(tenant: str, user_id: str) -> str:
    """Return one that does not say whose it is."""
    return signed(claims(tenant, user_id, username=None))


def of_no_tenant(tenant: str, user_id: str) -> str:
    """Return one whose username names no tenant that could be."""
    return signed(claims(tenant.upper(), user_id))


BAD = (
    expired,
    of_another_issuer,
    of_another_client,
    id_token,
    unsigned,
    signed_with_the_public_key,
    of_an_unknown_key,
    of_a_forged_key,
    without_a_username,
    of_no_tenant,
)
"""All kinds of tokens that nobody is let in with, each made for a tenant and a user."""


def account(store: Store, tenant: str, user_id: str, role: str = "customer", **more: Any) -> None:
    """Put somebody with an account into the identity table, or change the one who is there."""
    said: dict[str, Any] = {"user_id": user_id, "name": "Asha", "email": f"{user_id}@example.com", "role": role}
    said |= {"has_account": True, "version": 1, "created_at": 0, "updated_at": 0} | more
    store.write(Put(PersonItem(*Keys(tenant).person(user_id), **said)))


def token_event(authorization: Any) -> dict[str, Any]:
    """Return the event of a TOKEN authorizer for what stands in the header."""
    return {"type": "TOKEN", "methodArn": ARN, "authorizationToken": authorization}


def request_event(headers: Any) -> dict[str, Any]:
    """Return the event of a REQUEST authorizer for a request's headers."""
    return {"type": "REQUEST", "methodArn": ARN, "headers": headers, "resource": "/api/reserve", "httpMethod": "POST"}


def authorize(request: dict[str, Any]) -> dict[str, Any]:
    """Return the context that the authorizer gives, in a policy that is seen to allow the stage and nothing more."""
    answer = load("authorizer").handler(request, LambdaContext())
    (statement,) = answer["policyDocument"]["Statement"]
    assert statement == {"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{ARN.split('/POST')[0]}/*"}
    assert all(isinstance(value, str) for value in answer["context"].values())
    assert answer["principalId"]
    context: dict[str, Any] = answer["context"]
    return context


def bearer(credential: str) -> dict[str, Any]:
    """Return the context that functions get for a credential, from the authorizer itself."""
    return authorize(token_event(f"Bearer {credential}"))


def _by_hand(header: Mapping[str, Any], said: Mapping[str, Any], secret: bytes) -> str:
    text = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (header, said))
    if header["alg"] == "none":
        return f"{text}."
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{urlsafe_b64encode(signature).decode().rstrip('=')}"
