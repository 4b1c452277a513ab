"""Hosts of their own on one machine: network namespaces behind a bridge."""
import os
import subprocess
import uuid


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


class Namespaces:
    """A bridge in our own namespace, and as many namespaces behind it as asked for."""

    def __init__(self):
        self.name = "om" + uuid.uuid4().hex[:6]
        self.subnet = f"10.{200 + os.getpid() % 50}.{int(self.name[2:4], 16)}"
        self.made: list[str] = []
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")

    @property
    def address(self) -> str:
        """Where the namespaces reach us."""
        return f"{self.subnet}.1"

    def make(self) -> tuple[list[str], str]:
        """Words that start a command in a new namespace, and its address there."""
        number = len(self.made) + 2
        name, outer, inner = f"{self.name}n{number}", f"{self.name}o{number}", f"{self.name}i{number}"
        run("ip", "netns", "add", name)
        self.made.append(name)
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner)
        run("ip", "link", "set", outer, "master", self.name, "up")
        run("ip", "link", "set", inner, "netns", name)
        address = f"{self.subnet}.{number}"
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", inner)
        run("ip", "-n", name, "link", "set", inner, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        return ["ip", "netns", "exec", name], address

    def remove(self) -> None:
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False)
        subprocess.run(["ip", "link", "del", self.name], check=False)
