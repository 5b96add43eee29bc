"""The configuration of Prometheus, Alertmanager and Grafana, as their own tools read it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def tool(name: str, package: str) -> str:
    """Returns the path of a program; skips without it, and fails where nothing may be missing."""
    found = shutil.which(name)
    if found is None:
        reason = f"`{name}` is missing (on Debian: apt-get install {package})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def test_prometheus_accepts_its_configuration() -> None:
    promtool = tool("promtool", "prometheus")
    file = DEPLOY / "prometheus" / "prometheus.yml"
    done = subprocess.run(
        [promtool, "check", "config", "--lint=all", "--lint-fatal", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_alertmanager_accepts_its_configuration() -> None:
    amtool = tool("amtool", "prometheus-alertmanager")
    file = DEPLOY / "alertmanager" / "alertmanager.yml"
    command = [amtool, "check-config", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_asks_the_worker_where_compose_puts_it() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    worker = next(job for job in jobs if job["job_name"] == "trustwatch")["dns_sd_configs"][0]
    compose = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]
    assert worker["names"] == ["worker"]
    assert compose["worker"]["expose"] == [str(worker["port"])]
    assert set(compose["worker"]["networks"]) & set(compose["prometheus"]["networks"])


def test_grafana_finds_prometheus_under_a_name_that_stays() -> None:
    file = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    source = yaml.safe_load(file.read_text())["datasources"][0]
    assert source["uid"] == "trustwatch-prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
