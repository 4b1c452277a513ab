"""Web tokens, OAuth metadata, trusted proxies, passwords and sessions."""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from omni.people import People
from omni.waiting import eventually

SECRET = "0123456789abcdef0123456789abcdef"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Signer:
    """A key of one algorithm, with its id."""

    def __init__(self, algorithm: str, kid: str | None = None):
        self.algorithm, self.kid = algorithm, kid
        if algorithm == "RS256":
            self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        elif algorithm == "ES256":
            self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self) -> dict:
        public = self.key.public_key().public_numbers()
        if self.algorithm == "RS256":
            return {"kty": "RSA", "use": "sig", "kid": self.kid, "n": number(public.n), "e": number(public.e)}
        return {"kty": "EC", "crv": "P-256", "kid": self.kid, "x": b64(public.x.to_bytes(32, "big")),
                "y": b64(public.y.to_bytes(32, "big"))}

    def sign(self, claims: dict, **header) -> str:
        head = {"alg": self.algorithm, "typ": "JWT", **({"kid": self.kid} if self.kid else {}), **header}
        text = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"
        if self.algorithm == "HS256":
            signature = hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()
        elif self.algorithm == "RS256":
            signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return f"{text}.{b64(signature)}"


def claims(**more) -> dict:
    now = int(time.time())
    return {"sub": "someone", "iss": "https://issuer.example.org", "iat": now, "exp": now + 300, "role": "developer",
            **more}


@pytest.fixture(scope="module")
def keys():
    return Signer("RS256", "r1"), Signer("ES256", "e1")


def status(one, token: str, path: str = "/api/v1/mcp/tools/list") -> int:
    return one.get(path, token=token).status_code


class TestWebTokens:
    @pytest.fixture
    def one(self, daemon, tmp_path, keys):
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps({"keys": [key.jwk() for key in keys]}))
        return daemon({"Access": {"JWKS": str(file), "JWTSecret": SECRET, "Issuers": "https://issuer.example.org",
                                  "Audiences": "https://gateway.example.org/mcp", "Scopes": "mcp",
                                  "Resource": "https://gateway.example.org/mcp",
                                  "AuthorizationServers": "https://issuer.example.org"}})

    @pytest.mark.parametrize("which", [0, 1], ids=["RS256", "ES256"])
    def test_signatures_claims_and_scopes(self, one, keys, which):
        key, aud = keys[which], "https://gateway.example.org/mcp"
        good = claims(aud=aud, scope="openid mcp")
        now = int(time.time())
        assert status(one, key.sign(good)) == 200
        assert status(one, key.sign({**good, "aud": ["other", aud + "/"]})) == 200
        for wrong in ({"exp": now - 100}, {"exp": None}, {"nbf": now + 1000}, {"iss": "https://evil.example.org"},
                      {"aud": "https://other.example.org"}, {"aud": None}, {"sub": ""}, {"type": "refresh"},
                      {"exp": "soon"}):
            answer = one.get("/api/v1/mcp/tools/list", token=key.sign({**good, **wrong}))
            assert answer.status_code == 401, wrong
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        less = one.get("/api/v1/mcp/tools/list", token=key.sign({**good, "scope": "openid"}))
        assert less.status_code == 403
        challenge = less.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge and 'scope="mcp"' in challenge

    def test_forgeries_are_refused(self, one, keys):
        good = claims(aud="https://gateway.example.org/mcp", scope="mcp")
        token = keys[0].sign(good)
        head, body, signature = token.split(".")
        none = f"{b64(json.dumps({'alg': 'none'}).encode())}.{body}."
        # The public key used as if it were the shared secret.
        public = json.dumps(keys[0].jwk()).encode()
        text = f"{b64(json.dumps({'alg': 'HS256', 'kid': 'r1'}).encode())}.{body}"
        confused = f"{text}.{b64(hmac.new(public, text.encode(), hashlib.sha256).digest())}"
        stranger = Signer("RS256", "r1").sign(good)
        tampered = f"{head}.{b64(json.dumps({**good, 'role': 'super_admin'}).encode())}.{signature}"
        critical = keys[0].sign(good, crit=["exp"])
        for forged in (none, confused, stranger, tampered, critical, f"{head}.{body}", token + "A"):
            assert status(one, forged) == 401, forged[:60]

    def test_a_token_of_the_original_works_with_the_shared_secret(self, one):
        people = People(one)
        someone = people.user("a@example.org", "super_admin")
        # Sub is our own user's id; neither issuer nor audience, as the original made them.
        now = int(time.time())
        body = {"sub": str(someone.id), "username": "a@example.org", "role": "viewer", "permissions": [],
                "exp": now + 60, "iat": now, "type": "access", "scope": "mcp", "aud": "https://gateway.example.org/mcp"}
        signer = Signer("HS256")
        assert status(one, signer.sign(body), "/api/v1/users") == 200, "the row's role counts, not the token's"
        assert status(one, signer.sign({**body, "type": "refresh"}), "/api/v1/users") == 401
        people.ask("PUT", f"/users/{someone.id}", json={"active": False})
        assert status(one, signer.sign(body), "/api/v1/users") == 403
        people.ask("DELETE", f"/users/{someone.id}")
        assert status(one, signer.sign(body)) == 403, "the role beside a deleted user's id opens nothing"

    def test_a_foreign_issuer_does_not_number_our_people(self, one, keys):
        someone = People(one).user("root", "super_admin")
        good = claims(aud="https://gateway.example.org/mcp", scope="mcp")
        token = keys[0].sign({**good, "sub": str(someone.id)})
        assert status(one, token) == 200
        assert status(one, token, "/api/v1/users") == 403
        named = keys[0].sign({**good, "email": "root", "email_verified": False})
        assert status(one, named, "/api/v1/users") == 403

    @pytest.mark.parametrize("path", ["/.well-known/oauth-protected-resource",
                                      "/.well-known/oauth-protected-resource/mcp"])
    def test_metadata_of_the_protected_resource(self, one, path):
        answer = one.get(path, token=None)
        assert answer.status_code == 200
        document = answer.json()
        assert document["resource"] == "https://gateway.example.org/mcp"
        assert document["authorization_servers"] == ["https://issuer.example.org"]
        assert document["bearer_methods_supported"] == ["header"] and document["scopes_supported"] == ["mcp"]

    def test_the_challenge_says_where_the_metadata_are(self, one):
        challenge = one.post("/mcp", json={}, token=None).headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert 'resource_metadata="https://gateway.example.org/.well-known/oauth-protected-resource/mcp"' in challenge

    def test_what_a_token_opened_ends_with_it(self, one, keys):
        good = claims(aud="https://gateway.example.org/mcp", scope="mcp", exp=int(time.time()) - 29)
        token = keys[1].sign(good)  # within the leeway for another second
        assert status(one, token) in (200, 401)
        eventually(lambda: status(one, token) == 401, 5, "expired")


def test_keys_are_rotated_without_a_restart(daemon):
    old, new = Signer("RS256", "old"), Signer("ES256", "new")
    published = [old.jwk()]

    class Keys(http.server.BaseHTTPRequestHandler):
        asked = 0

        def do_GET(self):
            Keys.asked += 1
            body = json.dumps({"keys": published}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        one = daemon({"Access": {"JWKS": f"http://127.0.0.1:{server.server_port}/jwks"}})
        good = claims(aud=f"{one.url}/mcp")
        assert status(one, old.sign(good)) == 200
        published[:] = [new.jwk()]
        asked = Keys.asked
        eventually(lambda: status(one, new.sign(good)) == 200, 15, "the new key is known")
        assert Keys.asked == asked + 1, "an unknown key makes the set be read at most every ten seconds"
        assert status(one, old.sign(good)) == 401, "what the old key signed went with it"
    finally:
        server.shutdown()


def test_without_web_tokens_nothing_is_said_of_oauth(daemon):
    one = daemon()
    assert one.get("/.well-known/oauth-protected-resource", token=None).status_code == 404
    assert "resource_metadata" not in one.post("/mcp", json={}, token=None).headers["www-authenticate"]


class TestProxies:
    STATED = {"X-User-Id": "1", "X-User-Username": "a@example.org", "X-User-Role": "super_admin"}

    def test_headers_of_a_stranger_are_nothing(self, daemon):
        one = daemon()
        assert one.get("/api/v1/users", token=None, headers=self.STATED).status_code == 401
        someone = People(one).user("ann", "viewer")
        assert one.get("/api/v1/users", token=someone.token, headers=self.STATED).status_code == 403

    def test_another_network_is_a_stranger_too(self, daemon):
        one = daemon({"Access": {"TrustedProxies": "10.0.0.0/8 192.168.7.1 unix"}})
        assert one.get("/api/v1/users", token=None, headers=self.STATED).status_code == 401

    def test_a_trusted_proxy_is_believed(self, daemon):
        one = daemon({"Access": {"TrustedProxies": "127.0.0.0/8"}})
        assert one.get("/api/v1/users", token=None, headers=self.STATED).status_code == 200
        ann = People(one).user("ann@example.org", "viewer")
        # The row counts, not the role that is stated beside it.
        stated = {"X-User-Id": str(ann.id), "X-User-Role": "super_admin"}
        assert one.get("/api/v1/users", token=None, headers=stated).status_code == 403
        assert one.get("/api/v1/auth/me", token=None, headers=stated).json()["user"]["username"] == "ann@example.org"
        # A token says by itself who it is.
        me = one.get("/api/v1/auth/me", token=ann.token, headers=self.STATED).json()
        assert me["user"]["username"] == "ann@example.org"
        unknown = {"X-User-Id": "999", "X-User-Role": "nonesuch"}
        assert one.get("/api/v1/auth/me", token=None, headers=unknown).status_code == 403


class TestLogin:
    PASSWORD = "correct horse battery staple"

    @pytest.fixture
    def one(self, daemon):
        one = daemon()
        People(one).user("ann", "super_admin", password=self.PASSWORD, email="ann@example.org")
        return one

    def enter(self, one, name="ann", password=PASSWORD):
        return one.post("/api/v1/auth/login", json={"username": name, "password": password}, token=None)

    def test_a_session_is_a_cookie_that_scripts_cannot_read(self, one):
        answer = self.enter(one)
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        value = {"Cookie": cookie.split(";")[0]}
        csrf = answer.json()["csrf_token"]
        me = one.get("/api/v1/auth/me", token=None, headers=value).json()
        assert me["user"]["username"] == "ann" and me["csrf_token"] == csrf
        # Reading needs the cookie alone, changing something the page's own token.
        assert one.get("/api/v1/users", token=None, headers=value).status_code == 200
        body = {"json": {"name": "team"}}
        assert one.request("POST", "/api/v1/teams", token=None, headers=value, **body).status_code == 403
        for wrong in ("", "0" * 64):
            headers = {**value, "X-CSRF-Token": wrong}
            assert one.request("POST", "/api/v1/teams", token=None, headers=headers, **body).status_code == 403
        right = {**value, "X-CSRF-Token": csrf}
        assert one.request("POST", "/api/v1/teams", token=None, headers=right, **body).status_code == 201
        # Another origin is turned away whatever it carries.
        evil = {**right, "Origin": "https://evil.example.org"}
        assert one.request("POST", "/api/v1/teams", token=None, headers=evil, **body).status_code == 403
        assert one.request("POST", "/api/v1/auth/logout", token=None, headers=right).status_code == 200
        assert one.get("/api/v1/auth/me", token=None, headers=value).status_code == 401

    def test_sessions_live_through_a_restart_and_end_with_the_password(self, one):
        answer = self.enter(one, "ann@example.org")
        value = {"Cookie": answer.headers["set-cookie"].split(";")[0]}
        one.restart()
        assert one.get("/api/v1/auth/me", token=None, headers=value).status_code == 200
        people = People(one)
        people.ask("POST", f"/users/{answer.json()['user']['id']}/reset-password", json={"password": "another long one"})
        assert one.get("/api/v1/auth/me", token=None, headers=value).status_code == 401
        assert self.enter(one).status_code == 401
        assert self.enter(one, password="another long one").status_code == 200

    def test_guessing_gets_slow_and_is_on_record(self, one):
        answers = [self.enter(one, password=f"wrong {number}") for number in range(8)]
        assert [answer.status_code for answer in answers[:5]] == [401] * 5
        assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
        assert self.enter(one).status_code == 429, "the right password waits, too"
        trail = [each for each in People(one).audit("login") if each["outcome"] == "denied"]
        assert trail and trail[0]["actor"] == "ann" and sum(each["repeated"] for each in trail) >= 5
        one.logged(r"denied: wrong name or password")

    def test_whether_a_name_exists_is_not_told(self, one):
        known, unknown = self.enter(one, password="wrong one"), self.enter(one, name="nobody", password="wrong one")
        assert known.status_code == unknown.status_code == 401
        assert known.json() == unknown.json()

    def test_an_api_key_opens_a_session(self, one):
        people = People(one)
        user = next(each for each in people.ask("GET", "/users")["users"] if each["username"] == "ann")
        key = people.ask("POST", f"/users/{user['id']}/api-key", 201)["api_key"]
        assert one.post("/api/v1/auth/login", json={"api_key": key}, token=None).status_code == 200
        people.ask("DELETE", f"/users/{user['id']}/api-key")
        assert one.post("/api/v1/auth/login", json={"api_key": key}, token=None).status_code == 401

    def test_no_secret_is_kept_or_logged(self, one):
        answer = self.enter(one)
        value = answer.headers["set-cookie"].split("=", 1)[1].split(";")[0]
        data = b"".join(file.read_bytes() for file in one.state.iterdir() if file.is_file())
        for secret in (self.PASSWORD, value):
            assert secret.encode() not in data and secret not in one.output()


# SSRF

class TestDiscover:
    def test_finds_what_a_server_has_where_that_is_allowed(self, daemon, counting):
        one = daemon({"MCP": {"DiscoverPrivate": "yes"}})
        found = one.post("/api/v1/mcp/servers/discover", json={"url": counting.url, "protocol": "http-streamable"}).json()
        assert found["success"] and found["health_status"] == "healthy" and found["tools_count"] >= 10
        assert found["prompts_count"] == 1 and found["resources_count"] == 1
        assert one.servers() == {}

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0",
                                      "169.254.169.254", "10.1.2.3", "2130706433", "0x7f.1"])
    def test_does_not_reach_into_private_networks(self, daemon, host):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(1)
        one = daemon()
        answer = one.post("/api/v1/mcp/servers/discover",
                          json={"url": f"http://{host}:{listener.getsockname()[1]}/mcp", "timeout_seconds": 3})
        assert answer.status_code in (200, 400)
        assert answer.status_code == 400 or answer.json()["success"] is False
        with pytest.raises(TimeoutError):
            listener.accept()
        listener.close()
