"""omni2ctl user, role, token, block and unblock."""
import pytest

from omni.servers import stdio_entry


class TestPeople:
    def test_a_user_gets_a_role_a_token_and_what_they_open(self, control):
        ctl = control(servers={"files": stdio_entry()})
        ctl.ok("role", "add", "reader", "--servers", "files", "--services", "mcp", "--rate-limit", "50",
               "--cost-limit", "2.5", "--dashboard", "view", "--tools", '{"files": {"tools": ["*"]}}')
        ctl.ok("user", "add", "ann", "--role", "reader", "--email", "ann@example.org")
        made = ctl("token", "create", "ann", "--name", "laptop", "--days", "30")
        token = made.stdout.strip()
        assert token.startswith("omni2_mcp_") and "cannot be shown again" in made.stderr
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 200
        listed = ctl.json("token", "list", "ann")
        assert [one["name"] for one in listed] == ["laptop"] and token not in ctl.ok("token", "list")
        shown = ctl.ok("user", "show", "ann")
        assert "reader" in shown and "files" in shown and "50" in shown
        assert "ann@example.org" in ctl.ok("user", "list") and "$2.5" in ctl.ok("role", "list")
        ctl.ok("token", "revoke", listed[0]["id"])
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 401

    def test_block_and_unblock(self, control):
        ctl = control()
        ctl.ok("user", "add", "ann", "--role", "developer")
        token = ctl.ok("token", "create", "ann").strip()
        ctl.ok("block", "ann", "--services", "mcp", "--message", "Ask Bob.", "--reason", "leaving")
        answer = ctl.one.get("/api/v1/mcp/tools/list", token=token)
        assert answer.status_code == 403 and answer.json()["message"] == "Ask Bob."
        assert "blocked" in ctl.ok("user", "list")
        assert "not blocked any more" in ctl.ok("unblock", "ann")
        assert "not blocked." in ctl.ok("unblock", "ann")
        # The journal names users by their number.
        number = ctl.json("user", "show", "ann")["user"]["id"]
        assert "not blocked." in ctl.ok("unblock", number)
        assert ctl.one.get("/api/v1/mcp/tools/list", token=token).status_code == 200

    def test_changes_of_users_and_roles(self, control, tmp_path):
        ctl = control()
        (tmp_path / "password").write_text("correct horse battery\n")
        ctl.ok("role", "add", "reader")
        ctl.ok("user", "add", "ann", "--role", "reader", "--password-file", tmp_path / "password")
        ctl.ok("user", "set", "ann", "--active", "no", "--full-name", "Ann", "--rate-limit", "7")
        user = ctl.json("user", "show", "ann")
        assert user["user"]["active"] is False and user["permission"]["rate_limit"] == 7
        ctl.ok("role", "set", "reader", "--servers", "none", "--dashboard", "admin")
        assert "There is one already" in ctl.refused("role", "remove", "reader")
        ctl.ok("user", "remove", "ann")
        ctl.ok("role", "remove", "reader")

    def test_every_order_answers_scripts_with_json(self, control):
        ctl = control()
        assert ctl.json("role", "add", "reader")["success"] is True
        assert ctl.json("role", "set", "reader", "--rate-limit", "5")["success"] is True
        assert ctl.json("user", "add", "ann", "--role", "reader")["success"] is True
        assert ctl.json("user", "set", "ann", "--full-name", "Ann")["success"] is True
        assert "reader" in [role["name"] for role in ctl.json("role", "list")]
        assert [user["username"] for user in ctl.json("user", "list")] == ["ann"]
        made = ctl.json("token", "create", "ann")
        assert made["token"].startswith("omni2_mcp_")
        assert ctl.json("token", "revoke", made["id"])["success"] is True
        assert ctl.json("block", "ann")["success"] is True
        assert ctl.json("unblock", "ann")["success"] is True
        assert ctl.json("user", "remove", "ann")["success"] is True
        assert ctl.json("role", "remove", "reader")["success"] is True

    @pytest.mark.parametrize("words, missing", [
        (["user", "show"], "USER"), (["user", "add"], "NAME"), (["user", "set"], "USER"),
        (["user", "remove"], "USER"), (["block"], "USER"), (["unblock"], "USER"), (["role", "add"], "NAME"),
        (["role", "set"], "ROLE"), (["role", "remove"], "ROLE"), (["token", "create"], "USER"),
        (["token", "revoke"], "ID")])
    def test_what_is_missing_is_named(self, control, words, missing):
        assert f"{missing} is missing" in control().refused(*words, status=64)

    @pytest.mark.parametrize("words, meant, status", [
        (["user", "add", "ann"], "--role ROLE", 64),
        (["user", "add", "ann", "--role", "nobody"], "no role named nobody", 1),
        (["user", "show", "nobody"], "no user named nobody", 1),
        (["user", "set", "ann"], "needs an option", 64),
        (["role", "set", "nobody", "--rate-limit", "1"], "there are super_admin", 1),
        (["role", "add", "x", "--tools", "{"], "not JSON", 64),
        (["role", "add", "x", "--rate-limit", "many"], "whole number", 64),
        (["role", "add", "x", "--dashboard", "root"], "one of admin, operate, view, none", 64),
        (["token", "revoke", "x"], "is the number", 64),
        (["token", "revoke", "999"], "no token with this id", 1),
        (["block", "nobody"], "no user named nobody", 1),
        (["unblock", "nobody"], "no user named nobody", 1),
        (["user", "remove", "nobody"], "no user named nobody", 1),
        (["role", "remove", "nobody"], "no role named nobody", 1),
        (["token", "create", "nobody"], "no user named nobody", 1),
        (["token", "list", "nobody"], "no user named nobody", 1),
    ])
    def test_mistakes_are_told_with_their_remedy(self, control, words, meant, status):
        assert meant in control().refused(*words, status=status)
