"""Builds a worker from its settings and runs it until it is told to stop."""

import asyncio
import dataclasses
import logging
import os
import platform
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import NoReturn

import faust
from prometheus_client import CollectorRegistry

from models import Classifier, load_classifier
from streams.app import create_app, new_fence, new_stall
from streams.brands import BrandsFile
from streams.domain.row import HOUR
from streams.log import set_up
from streams.metrics import Metrics
from streams.pipeline import Judge, in_thread
from streams.server import Server
from streams.settings import Settings
from streams.topics import Topics, check_topics
from streams.transport import Transport
from streams.worker import Worker

log = logging.getLogger("trustwatch")


def run(
    settings: Settings,
    *,
    classifier: Classifier | None = None,
    transport: type[Transport] = Transport,
) -> NoReturn:
    """Run one worker; the process ends with it: 0 after SIGTERM or SIGINT, 1 after a fault.

    Args:
        settings: all that can be set.
        classifier: judges the posts; None: the model of the settings.
        transport: how records reach the agents.

    Raises:
        InputError: the settings, the brands file or the model cannot be used.
        TopicsError: the topics are not there or not as they must be.
        BrokerError: no broker answers.
    """
    set_up(settings.log.level)
    settings = named(settings)
    brands = BrandsFile(settings.brands.file)
    classifier = classifier or load_classifier(settings.model.name)
    check_topics(settings)
    registry = CollectorRegistry()
    metrics = Metrics(registry, max_brands=settings.metrics.max_brands)
    worker = build(settings, brands=brands, classifier=classifier, metrics=metrics)
    create_app(worker, die=die, transport=transport)
    server = Server(
        registry,
        host=settings.metrics.host,
        port=settings.metrics.port,
        health=worker.health,
    )
    port = server.start()
    log.info("Metrics on http://%s:%s/metrics", settings.metrics.host, port)
    sys.exit(_execute(worker.app))


def build(
    settings: Settings, *, brands: BrandsFile, classifier: Classifier, metrics: Metrics
) -> Worker:
    """Return a worker that has no app yet."""
    if not settings.privacy.key.reveal():
        log.warning("privacy.key is not set: without authors nothing caps what one of them weighs")
    metrics.build(
        version=version("trustwatch"),
        model=classifier.name,
        faust=version("faust-streaming"),
        python=platform.python_version(),
    )
    return Worker(
        settings=settings,
        judge=judge_of(settings, brands=brands, classifier=classifier),
        brands=brands,
        metrics=metrics,
        fence=new_fence(settings, die=die),
        stall=new_stall(die=die),
        topics=Topics(settings),
    )


def judge_of(settings: Settings, *, brands: BrandsFile, classifier: Classifier) -> Judge:
    """Return the judge that these settings describe; its classifier has a thread of its own."""
    return Judge(
        matcher=lambda: brands.matcher,
        classify=in_thread(classifier, ThreadPoolExecutor(1, "classifier")),
        model=classifier.name,
        threshold=classifier.leak_threshold,
        targeted=classifier.targeted,
        key=settings.privacy.key.reveal().encode(),
        max_text=settings.worker.max_text,
        max_future=int(settings.trust.max_future * 1000),
        max_age=int(settings.trust.max_age_hours * HOUR),
    )


def named(settings: Settings) -> Settings:
    """Give the worker a name in its group that it keeps over a restart.

    The metrics port is part of it, since no two workers of a host share one; with any free port
    there is nothing stable to name it by. So are its stages: under the same name Kafka would hand
    it what it had before.
    """
    worker, port = settings.worker, settings.metrics.port
    if worker.instance or not port:
        return settings
    instance = "-".join((socket.gethostname(), str(port), *worker.stages))
    return dataclasses.replace(settings, worker=dataclasses.replace(worker, instance=instance))


def die(message: str) -> NoReturn:
    """End the process at once: nothing more is written or acknowledged."""
    log.critical("%s", message)
    logging.shutdown()
    os._exit(1)


def _execute(app: faust.App) -> int:
    loop = _new_loop()
    runner = faust.Worker(
        app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False
    )
    runner.spinner = None
    try:
        runner.execute_from_commandline()
    except SystemExit as stop:
        return 1 if stop.code or app.crashed else 0
    except Exception as exc:  # noqa: BLE001 -- the last frame of the process
        log.critical("The worker stopped: %r", exc)
    return 1


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform != "win32":
        import uvloop  # noqa: PLC0415 -- not to be had on Windows

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
