"""People, roles and tokens of a daemon, made over its REST surface."""
from dataclasses import dataclass

from .daemon import Daemon


@dataclass
class Someone:
    id: int
    name: str
    token: str
    token_id: int


class People:
    def __init__(self, daemon: Daemon):
        self.daemon = daemon

    def ask(self, method: str, path: str, expect: int = 200, **more) -> dict:
        answer = self.daemon.request(method, "/api/v1" + path, **more)
        assert answer.status_code == expect, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def role(self, name: str, **facts) -> dict:
        return self.ask("POST", "/roles", 201, json={"name": name, **facts})["role"]

    def change_role(self, name: str, **facts) -> dict:
        role = next(one for one in self.ask("GET", "/roles")["roles"] if one["name"] == name)
        return self.ask("PUT", f"/roles/{role['id']}", json=facts)["role"]

    def user(self, username: str, role: str, **facts) -> Someone:
        user = self.ask("POST", "/users", 201, json={"username": username, "role": role, **facts})["user"]
        made = self.token(user["id"])
        return Someone(user["id"], username, made["token"], made["id"])

    def token(self, user: int, **facts) -> dict:
        return self.ask("POST", "/mcp/tokens", 201, json={"user_id": user, **facts})

    def block(self, user: int, *services: str, message: str | None = None) -> None:
        body = {"is_blocked": True, "blocked_services": list(services) or ["chat", "mcp"],
                "custom_block_message": message}
        self.ask("PUT", f"/iam/chat-config/users/{user}/block", json=body)

    def unblock(self, user: int) -> None:
        self.ask("PUT", f"/iam/chat-config/users/{user}/block", json={"is_blocked": False})

    def audit(self, action: str | None = None) -> list[dict]:
        return [one for one in self.ask("GET", "/audit")["audit"] if action in (None, one["action"])]
