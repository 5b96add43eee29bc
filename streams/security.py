"""TLS and logins, from one set of settings, for Faust and for kafka-python."""

import ssl
from typing import Any

from streams.errors import SettingsError
from streams.settings import Kafka

_PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl_plaintext": "SASL_PLAINTEXT",
    "sasl_tls": "SASL_SSL",
}


def ssl_context(kafka: Kafka) -> ssl.SSLContext | None:
    """Return what TLS connections are made with, None without TLS.

    Raises:
        SettingsError: a certificate or a key cannot be used.
    """
    if not kafka.security.endswith("tls"):
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
    except OSError as error:
        raise _unusable("ca_file", kafka.ca_file, error) from error
    context.check_hostname = kafka.verify_host
    if kafka.cert_file:
        try:
            # An empty passphrase: without one, OpenSSL would ask for it on the terminal.
            context.load_cert_chain(kafka.cert_file, kafka.key_file, password="")
        except OSError as error:
            pair = f"{kafka.cert_file} and {kafka.key_file}"
            raise _unusable("cert_file and kafka.key_file", pair, error) from error
    return context


def _unusable(key: str, value: str, error: OSError) -> SettingsError:
    why = error.strerror or str(error)
    return SettingsError(f"kafka.{key} = {value} cannot be used ({why}): give PEM files")


def client_options(kafka: Kafka) -> dict[str, Any]:
    """Return the keyword arguments with which any client of kafka-python reaches the brokers.

    Raises:
        SettingsError: a certificate or a key cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.broker.split(","),
        "bootstrap_timeout_ms": int(kafka.timeout * 1000),
        "security_protocol": _PROTOCOLS[kafka.security],
        "ssl_context": ssl_context(kafka),
    }
    if kafka.security.startswith("sasl"):
        options |= {
            "sasl_mechanism": kafka.mechanism,
            "sasl_plain_username": kafka.username,
            "sasl_plain_password": kafka.password.reveal(),
        }
    return options


def faust_credentials(kafka: Kafka) -> Any:
    """Return what Faust takes as `broker_credentials`; None in plain text without a login.

    Faust's driver for aiokafka reads the protocol off the class and the TLS context in it.

    Raises:
        SettingsError: a certificate or a key cannot be used.
    """
    from faust.auth import (  # noqa: PLC0415 -- the commands that do without Faust start faster
        SASLCredentials,
        SSLCredentials,
    )

    context = ssl_context(kafka)
    if kafka.security.startswith("sasl"):
        return SASLCredentials(
            username=kafka.username,
            password=kafka.password.reveal(),
            mechanism=kafka.mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None
