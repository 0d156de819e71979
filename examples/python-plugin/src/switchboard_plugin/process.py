"""The plugin's process: the handshake of hashicorp/go-plugin, TLS both ways, health, shutdown, logs."""

from __future__ import annotations

import base64
import datetime
import json
import logging
import os
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NoReturn

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from . import plugin_pb2 as pb
from .api import Plugin
from .service import PROTOCOLS, Service

COOKIE = ("SWITCHBOARD_PLUGIN", "c4b0f6a1-plugin")
MAX_MESSAGE = 16 << 20  # bytes of one message, either way
SHUTDOWN_GRACE = 2.0  # seconds that the host has for its Shutdown call once the line is over
SERVING = b"\x08\x01"  # a grpc.health.v1.HealthCheckResponse
NOTHING = b""  # a plugin.Empty


def serve(plugin: Plugin) -> NoReturn:
    """Runs the plugin until the host ends it. Started by hand, it says that it is a plugin and exits 1."""
    if os.environ.get(COOKIE[0]) != COOKIE[1]:
        sys.exit(f"{plugin.name} is a plugin of Switchboard and is not run by hand: name it under `plugins:` in the "
                 "bridge's configuration, or try it with `switchboard plugins test`")
    # stdout belongs to the handshake: what is printed goes where the logs go.
    handshake = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    log = _logger()

    ended = threading.Event()
    threading.Thread(target=_watch_parent, args=(os.getppid(), ended), daemon=True).start()
    service = Service(plugin, log, lambda: _later(SHUTDOWN_GRACE, ended.set))
    server = grpc.server(ThreadPoolExecutor(8), options=[
        ("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)])
    server.add_generic_rpc_handlers(_handlers(service, ended))
    path = os.path.join(os.environ.get("PLUGIN_UNIX_SOCKET_DIR") or tempfile.mkdtemp(), f"python-{os.getpid()}")
    key, cert = certificate()
    host_cert = os.environ["PLUGIN_CLIENT_CERT"].encode()
    server.add_secure_port(f"unix:{path}", grpc.ssl_server_credentials(
        [(pem(key), cert.public_bytes(serialization.Encoding.PEM))], host_cert, require_client_auth=True))
    server.start()

    offered = [int(v) for v in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "1").split(",") if v.isdigit()]
    version = max(set(offered) & set(PROTOCOLS), default=PROTOCOLS[-1])
    der = base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode().rstrip("=")
    print(f"1|{version}|unix|{path}|grpc|{der}", file=handshake, flush=True)

    ended.wait()
    server.stop(0.5).wait()
    # A handler that hangs must not keep the process: it has had its time.
    logging.shutdown()
    os._exit(0)


def _handlers(service: Service, ended: threading.Event) -> list[grpc.GenericRpcHandler]:
    """The services that the host calls. Those of go-plugin and of grpc.health are so small that
    their messages are written here as bytes, with no generated code."""

    def shutdown(_request: bytes, _context: Any) -> bytes:
        _later(0.1, ended.set)  # when this is answered
        return NOTHING

    def message(kind: str, call: Callable, request: Any) -> grpc.RpcMethodHandler:
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(call, request_deserializer=request.FromString, response_serializer=lambda m: m.SerializeToString())

    return [
        grpc.method_handlers_generic_handler("switchboard.plugin.v1.Plugin", {
            "Describe": message("unary_unary", service.describe, pb.DescribeRequest),
            "Configure": message("unary_unary", service.configure, pb.ConfigureRequest),
            "Connect": message("stream_stream", service.connect, pb.FromHost),
        }),
        grpc.method_handlers_generic_handler("grpc.health.v1.Health", {
            "Check": grpc.unary_unary_rpc_method_handler(lambda _request, _context: SERVING)}),
        grpc.method_handlers_generic_handler("plugin.GRPCController", {
            "Shutdown": grpc.unary_unary_rpc_method_handler(shutdown)}),
    ]


def certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """A certificate for this process alone; the host trusts the one in the handshake and no other."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1)).not_valid_after(now + datetime.timedelta(days=3650))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256()))
    return key, cert


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _watch_parent(parent: int, ended: threading.Event) -> None:
    """Ends the process when its host has died before there was a line that could break."""
    while not ended.wait(1):
        if os.getppid() != parent:
            os._exit(1)


def _later(seconds: float, fn: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, fn)
    timer.daemon = True
    timer.start()


class _Formatter(logging.Formatter):
    """One JSON object a line, as the host reads them. What is in `extra` becomes fields."""

    LEVELS = {logging.WARNING: "warn", logging.CRITICAL: "error"}
    KNOWN = set(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        out = {k: v for k, v in vars(record).items() if k not in self.KNOWN}
        out["@level"] = self.LEVELS.get(record.levelno, record.levelname.lower())
        out["@message"] = record.getMessage()
        out["@timestamp"] = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc).isoformat()
        if record.exc_info:
            out["stack"] = self.formatException(record.exc_info)
        return json.dumps(out, default=str)


def _logger() -> logging.Logger:
    """All of the process's logging goes to the host, which decides what to show."""
    to_host = logging.StreamHandler(sys.stderr)
    to_host.setFormatter(_Formatter())
    logging.basicConfig(level=logging.DEBUG, handlers=[to_host])
    return logging.getLogger("plugin")
