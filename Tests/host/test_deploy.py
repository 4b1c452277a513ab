"""What docs/deploy.md tells to do: backup and restore, upgrade and rollback."""
import shutil
import subprocess

from host import Host

SERVICE = "omni2-native.service"


def repacked(packages, version, directory):
    """The daemon's package under another version."""
    tree = directory / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    deb = next(packages.glob("omni2-native_*.deb"))
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", f"\nVersion: {version}\nX-Built-As: "))
    out = directory / f"omni2-native_{version}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, out], check=True,
                   stdout=subprocess.DEVNULL)
    return out


def install(host, deb):
    host.path("/root/other.deb").write_bytes(deb.read_bytes())
    host.run("apt-get install --yes --quiet=2 --allow-downgrades /root/other.deb", timeout=120)


def test_upgrade_and_rollback_keep_settings_and_servers(host, packages, tmp_path):
    host.write("/etc/omni2/omni2.conf.d/mine.conf", "[Cache]\nMaxEntries=77\n")
    host.run("omni2ctl mcp add gone --url http://127.0.0.1:9/mcp")
    entered = host.property("omni2-native.socket", "ActiveEnterTimestampMonotonic")
    for version in ("9.0.0", "0.0.1"):
        install(host, repacked(packages, version, tmp_path))
        assert host.out("dpkg-query -W -f '${Version}' omni2-native") == version
        assert host.property(SERVICE, "ActiveState") == "active"
        assert "gone" in host.out("omni2ctl mcp list")
        assert '"max_size":77' in host.out("omni2ctl cache stats --json").replace(" ", "")
    assert host.property("omni2-native.socket", "ActiveEnterTimestampMonotonic") == entered


def test_backup_and_restore(root_file_system, tools_layer, packages):
    with Host([root_file_system, tools_layer]) as host:
        host.install(packages)
        host.run("omni2ctl mcp add gone --url http://127.0.0.1:9/mcp")
        host.run("mkdir /backup; sqlite3 /var/lib/omni2/omni2.db \".backup '/backup/omni2.db'\"")
        host.run("omni2ctl mcp remove gone")
        host.run("systemctl stop 'omni2-native*.socket' omni2-native")
        host.run("rm -f /var/lib/omni2/omni2.db-wal /var/lib/omni2/omni2.db-shm; "
                 "install -o omni2 -g omni2 -m 600 /backup/omni2.db /var/lib/omni2/omni2.db")
        host.run("systemctl start omni2-native.socket omni2-native-admin.socket "
                 "omni2-native-cache.socket")
        assert "gone" in host.out("omni2ctl mcp list")


def test_completion_offers_commands_and_options(host):
    def offers(*words):
        quoted = " ".join(f"'{x}'" for x in words)
        script = (". /usr/share/bash-completion/completions/omni2ctl; "
                  f"COMP_WORDS=(omni2ctl {quoted}); COMP_CWORD={len(words)}; _omni2ctl; "
                  "echo ${COMPREPLY[@]}")
        host.write("/root/complete.sh", script)
        return host.out("bash /root/complete.sh").split()

    assert "mcp" in offers("") and "status" in offers("")
    assert offers("mcp", "sh") == ["show"]
    assert set(offers("mcp", "")) >= {"add", "list", "remove"}
    assert offers("mcp", "add", "time", "--comm") == ["--command"]
    assert host.path("/usr/share/zsh/vendor-completions/_omni2ctl").read_text().startswith("#compdef")
