"""docker-compose.yml is what an engine accepts, and gives nobody more than they need."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
COMPOSE = Path(sys.executable).with_name("docker-compose")
SERVICES = ["alertmanager", "grafana", "kafka", "prometheus", "topics", "worker"]


def compose(*arguments: str) -> str:
    command = [str(COMPOSE), "--file", str(FILE), "config", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resolved() -> dict[str, Any]:
    """The file as compose understands it, paths absolute and anchors merged."""
    found: dict[str, Any] = json.loads(compose("--format", "json"))
    return found


@pytest.fixture(params=SERVICES)
def service(resolved: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each service in turn."""
    found: dict[str, Any] = resolved["services"][request.param]
    return found


def test_compose_accepts_the_file_without_a_warning() -> None:
    command = [str(COMPOSE), "--file", str(FILE), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_service_is_tested_here(resolved: dict[str, Any]) -> None:
    assert sorted(resolved["services"]) == SERVICES


def test_every_mounted_file_and_folder_exists(resolved: dict[str, Any]) -> None:
    mounts = [
        Path(volume["source"])
        for service in resolved["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    ]
    assert len(mounts) >= 4
    assert [str(mount) for mount in mounts if not mount.exists()] == []


def test_mounts_from_the_host_are_read_only(service: dict[str, Any]) -> None:
    for volume in service.get("volumes", []):
        assert volume["type"] == "volume" or volume["read_only"]


def test_an_image_has_a_fixed_version(service: dict[str, Any]) -> None:
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])


def test_a_service_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged", False)
    assert "cap_add" not in service


def test_a_service_does_not_run_as_root(service: dict[str, Any]) -> None:
    user = service["user"].split(":")[0]
    assert int(user) > 0


def test_a_service_has_limits(service: dict[str, Any]) -> None:
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory", "pids"} <= set(limits)
    assert service["logging"]["options"]["max-size"] == "10m"


def test_ports_are_open_on_this_machine_alone(service: dict[str, Any]) -> None:
    assert [port["host_ip"] for port in service.get("ports", [])] == ["127.0.0.1"] * len(
        service.get("ports", [])
    )


def test_a_server_has_a_health_check(resolved: dict[str, Any]) -> None:
    # The worker's own check is in the Dockerfile; `topics` runs once.
    for name in ("kafka", "prometheus", "alertmanager", "grafana"):
        assert resolved["services"][name]["healthcheck"]["test"]


def test_the_worker_waits_for_the_broker_and_its_topics(resolved: dict[str, Any]) -> None:
    needs = resolved["services"]["worker"]["depends_on"]
    assert needs["kafka"]["condition"] == "service_healthy"
    assert needs["topics"]["condition"] == "service_completed_successfully"


def test_waiting_is_for_health_never_for_a_mere_start(service: dict[str, Any]) -> None:
    conditions = {need["condition"] for need in service.get("depends_on", {}).values()}
    assert "service_started" not in conditions


def test_no_secret_stands_in_an_environment(service: dict[str, Any]) -> None:
    secret = re.compile(r"(PASSWORD|KEY|TOKEN|SECRET)$")
    assert [name for name in service.get("environment", {}) if secret.search(name)] == []


def test_the_workers_settings_are_settings() -> None:
    from streams.settings import load_settings  # noqa: PLC0415

    service = json.loads(compose("--format", "json"))["services"]["worker"]
    given = {name: value for name, value in service["environment"].items() if "KEY" not in name}
    settings = load_settings(env=given)
    assert settings.kafka.broker == "kafka:9092"
    assert str(settings.brands.file) == "/etc/trustwatch/brands.toml"
    assert (settings.metrics.host, settings.metrics.port) == ("0.0.0.0", 9464)


def test_secrets_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    script = tmp_path / "make.sh"
    script.write_bytes((ROOT / "deploy" / "secrets" / "make.sh").read_bytes())
    command = ["sh", str(script)]
    first = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = {
        Path(secret["file"]).name for secret in yaml.safe_load(FILE.read_text())["secrets"].values()
    }
    made = {path.name: path.read_text() for path in tmp_path.iterdir() if path != script}
    assert set(made) == wanted
    assert first.count("wrote") == len(wanted)
    for name, text in made.items():
        assert re.fullmatch(r"[0-9a-f]{64}", text)
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert again.count("kept") == len(wanted)
    assert {name: (tmp_path / name).read_text() for name in made} == made
