"""The dashboard's files over HTTP: types, tags, compression, headers, and no way out of the directory."""
import gzip

import httpx2
import pytest

from omni.raw import exchange

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def get(house, path: str, **headers) -> httpx2.Response:
    return house.daemon.get(path, token=None, headers={name.replace("_", "-"): value for name, value in headers.items()})


def test_a_browser_gets_the_page_and_a_program_the_facts(house):
    page = house.daemon.get("/", token=None, headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8" and "<!doctype html>" in page.text
    assert "accept" in page.headers["vary"].lower()
    facts = house.daemon.get("/", token=None, headers={"Accept": "*/*"})
    assert facts.json()["name"] == "omni2-native" and facts.headers["vary"] == "Accept"


def test_every_answer_carries_what_protects_a_page(house):
    headers = house.daemon.get("/", token=None, headers=BROWSER).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path, kind", [("/web/app.js", "text/javascript; charset=utf-8"), ("/web/icon.svg", "image/svg+xml"),
                                        ("/web/style/base.css", "text/css; charset=utf-8"), ("/web/pages/live.js", "text/javascript; charset=utf-8")])
def test_files_have_types_and_tags(house, path, kind):
    plain = get(house, path, Accept_Encoding="identity")
    assert plain.status_code == 200 and plain.headers["content-type"] == kind
    assert "content-encoding" not in plain.headers and plain.headers["vary"] == "Accept-Encoding"
    again = get(house, path, Accept_Encoding="identity", If_None_Match=plain.headers["etag"])
    assert again.status_code == 304 and again.content == b"" and again.headers["etag"] == plain.headers["etag"]
    assert get(house, path, If_None_Match='"something else"').status_code == 200


def test_gzip_is_for_those_who_take_it(house):
    answer = get(house, "/web/app.js", Accept_Encoding="gzip, br")
    assert answer.headers["content-encoding"] == "gzip"
    plain = get(house, "/web/app.js", Accept_Encoding="identity")
    assert answer.text == plain.text and answer.headers["etag"] != plain.headers["etag"]
    raw = exchange(house.daemon.port, f"GET /web/app.js HTTP/1.1\r\nHost: 127.0.0.1:{house.daemon.port}\r\n"
                   "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n".encode())
    assert gzip.decompress(raw.body).decode() == plain.text


def test_head_says_what_get_would(house):
    head = house.daemon.request("HEAD", "/web/app.js", token=None)
    assert head.status_code == 200 and head.content == b"" and int(head.headers["content-length"]) > 0


@pytest.mark.parametrize("path", ["/web/../omni2.conf", "/web/%2e%2e/omni2.conf", "/web/..%2fomni2.conf", "/web/pages/..%2f..%2fREADME.md",
                                  "/web/pages%2flive.js%00", "/web//etc/passwd", "/web/%2fetc%2fpasswd", "/web/nothing.js", "/web/pages", "/web/", "/web"])
def test_nothing_else_is_there(house, path):
    answer = exchange(house.daemon.port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{house.daemon.port}\r\nConnection: close\r\n\r\n".encode())
    assert answer.status in (400, 404), answer.status


def test_the_files_are_read_again_at_a_reload(house, tmp_path, request):
    import signal
    from omni.daemon import Daemon
    from omni.waiting import eventually
    root = tmp_path / "web"
    root.mkdir()
    (root / "index.html").write_text("<!doctype html><p>one")
    one = Daemon(tmp_path, {"HTTP": {"WebRoot": str(root)}}).start()
    try:
        assert one.get("/", token=None, headers=BROWSER).text.endswith("one")
        (root / "index.html").write_text("<!doctype html><p>two")
        one.child.process.send_signal(signal.SIGHUP)
        eventually(lambda: one.get("/", token=None, headers=BROWSER).text.endswith("two"), 10, "the new page")
    finally:
        one.stop()


def test_a_token_opens_a_session_that_scripts_cannot_read(house):
    with httpx2.Client(base_url=house.daemon.url, trust_env=False) as http:
        refused = http.post("/api/v1/auth/login", json={"token": "omni2_mcp_" + "x" * 43})
        assert refused.status_code == 401 and "token" in refused.json()["message"]
        answer = http.post("/api/v1/auth/login", json={"token": house.daemon.token})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert house.daemon.token not in cookie
        me = http.get("/api/v1/auth/me").json()
        assert me["user"]["role"] == "super_admin" and me["csrf_token"] == answer.json()["csrf_token"]
        # What changes something needs the page's own token.
        assert http.post("/api/v1/cache/invalidate").status_code == 403
        csrf = {"X-CSRF-Token": me["csrf_token"]}
        assert http.post("/api/v1/cache/invalidate", headers=csrf).status_code == 200
        stolen = dict(http.cookies)
        assert http.post("/api/v1/auth/logout", headers=csrf).status_code == 200
        assert httpx2.get(house.daemon.url + "/api/v1/auth/me", cookies=stolen, trust_env=False).status_code == 401
        assert http.get("/api/v1/auth/me").status_code == 401
