"""Which machine this is: a name alone does not say whether a process can be looked up from here."""

import subprocess
import sys
from dataclasses import replace

import pytest

from dpgen2_hpc.state import host as module
from dpgen2_hpc.state.host import Host

ME = Host("login1", "boot-a", "pid:[1]", "hardware-a")


@pytest.fixture(autouse=True)
def me(monkeypatch):
    """Be the machine ``ME``."""
    monkeypatch.setattr(module.socket, "gethostname", lambda: ME.name)
    monkeypatch.setattr(module, "_identifiers", lambda: (ME.boot, ME.namespace, ME.hardware))


@pytest.mark.parametrize(
    ("host", "here", "restarted"),
    [
        (ME, True, False),
        (replace(ME, name="renamed"), True, False),  # a host is renamed while it runs
        (replace(ME, hardware=""), True, False),  # its card was unplugged, or a claim names it
        (replace(ME, namespace="pid:[2]"), False, False),  # a container on this host, with its name
        (replace(ME, boot="boot-b"), False, True),  # this machine before its restart
        (replace(ME, boot="boot-b", name="renamed", namespace="pid:[2]"), False, True),
        (replace(ME, boot="boot-b", hardware="hardware-b"), False, False),  # a clone with this name
        (replace(ME, boot="boot-b", hardware=""), False, False),  # a container of another boot
        (Host("login2", "boot-b", "pid:[1]", "hardware-b"), False, False),
        (Host("login1"), True, False),  # written by an older version, which knew the name alone
        (Host("login2"), False, False),
        (Host("login1", "", "", "hardware-a"), True, False),
    ],
)
def test_processes_can_be_looked_up_in_the_same_boot_and_namespace_and_are_dead_after_a_restart(host, here, restarted):
    assert (host.is_here, host.has_restarted) == (here, restarted)


def test_a_machine_that_does_not_know_its_hardware_takes_no_other_for_its_own_past(monkeypatch):
    """Two containers without a network card, on two machines."""
    monkeypatch.setattr(module, "_identifiers", lambda: ("boot-a", "pid:[1]", ""))
    assert not Host("login1", "boot-b", "pid:[1]", "").has_restarted


def test_another_machine_of_the_same_name_is_described_as_one():
    assert str(replace(ME, namespace="pid:[2]")) == "login1 (another machine or container of that name)"
    assert str(ME) == "login1"
    assert str(Host("login2", "boot-b")) == "login2"


def test_two_processes_of_this_machine_agree_on_it():
    code = "from dpgen2_hpc.state.host import Host; print(vars(Host.me()))"
    said = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    first, second = (eval(done.stdout) for done in said)
    assert first == second
    assert first["boot"] == open("/proc/sys/kernel/random/boot_id").read().strip()
    assert first["namespace"].startswith("pid:[")


def test_hardware_is_that_of_real_cards_and_changes_with_their_addresses(tmp_path, monkeypatch):
    """A container has only virtual cards; a clone shares the machine's id and has other addresses."""
    real = module.Path

    def path(name):
        return tmp_path / "net" if str(name) == "/sys/class/net" else real(name)

    monkeypatch.setattr(module, "Path", path)
    for card in ("lo", "veth0"):
        (tmp_path / "net" / card).mkdir(parents=True)
        (tmp_path / "net" / card / "address").write_text("00:00:00:00:00:00\n")
    assert module._hardware() == ""
    (tmp_path / "net" / "eth0" / "device").mkdir(parents=True)
    (tmp_path / "net" / "eth0" / "address").write_text("52:54:00:00:00:01\n")
    one = module._hardware()
    (tmp_path / "net" / "veth0" / "address").write_text("52:54:00:00:00:09\n")
    assert (len(one), module._hardware()) == (16, one)
    (tmp_path / "net" / "eth0" / "address").write_text("52:54:00:00:00:02\n")
    assert module._hardware() not in ("", one)


def test_a_system_without_these_files_has_no_identifiers_and_no_error(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "Path", lambda name: tmp_path / "nowhere")
    assert (module._hardware(), module._text("/proc/sys/kernel/random/boot_id")) == ("", "")
