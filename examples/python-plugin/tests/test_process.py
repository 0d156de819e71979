"""The plugin's process, as its host sees it: the handshake, TLS both ways, and how it ends."""

import base64
import os
import queue
import ssl
import subprocess
import tempfile
import unittest

import grpc

from switchboard_plugin import plugin_pb2 as pb
from switchboard_plugin import process

PROGRAM = os.path.join(os.path.dirname(__file__), "..", "src", "order_status.py")
PATIENCE = 30  # seconds


def identity() -> tuple[bytes, bytes]:
    key, cert = process.certificate()
    return process.pem(key), cert.public_bytes(process.serialization.Encoding.PEM)


class Process(unittest.TestCase):
    def setUp(self) -> None:
        self.dir = tempfile.TemporaryDirectory(prefix="sb")
        self.addCleanup(self.dir.cleanup)
        self.key, self.cert = identity()
        self.process = subprocess.Popen([PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={
            process.COOKIE[0]: process.COOKIE[1], "PLUGIN_PROTOCOL_VERSIONS": "1,7",
            "PLUGIN_UNIX_SOCKET_DIR": self.dir.name, "PLUGIN_CLIENT_CERT": self.cert.decode()})
        self.addCleanup(self.process.communicate)
        self.addCleanup(self.process.kill)
        assert self.process.stdout
        self.fields = self.process.stdout.readline().decode().rstrip("\n").split("|")

    def call(self, key: bytes, cert: bytes, method: str, request: bytes = b"") -> bytes:
        with self.channel(key, cert) as channel:
            return channel.unary_unary(method)(request, timeout=PATIENCE)

    def channel(self, key: bytes, cert: bytes) -> grpc.Channel:
        der = self.fields[5] + "=" * (-len(self.fields[5]) % 4)
        root = ssl.DER_cert_to_PEM_cert(base64.b64decode(der)).encode()
        return grpc.secure_channel("unix:" + self.fields[3], grpc.ssl_channel_credentials(root, key, cert),
                                   options=[("grpc.ssl_target_name_override", "localhost")])

    def test_shakes_hands(self) -> None:
        self.assertEqual(self.fields[:3] + [self.fields[4]], ["1", "1", "unix", "grpc"])
        self.assertEqual(os.path.dirname(self.fields[3]), self.dir.name)

    def test_answers_its_host_and_nobody_else(self) -> None:
        describe = "/switchboard.plugin.v1.Plugin/Describe"
        manifest = pb.Manifest.FromString(self.call(self.key, self.cert, describe))
        self.assertEqual(manifest.name, "order-status")
        with self.assertRaises(grpc.RpcError) as refused:
            self.call(*identity(), describe)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_is_healthy_and_ends_when_it_is_told_to(self) -> None:
        health = self.call(self.key, self.cert, "/grpc.health.v1.Health/Check", b"\x0a\x06plugin")
        self.assertEqual(health, process.SERVING)
        self.call(self.key, self.cert, "/plugin.GRPCController/Shutdown")
        self.assertEqual(self.process.wait(PATIENCE), 0)

    def test_ends_when_the_line_has_broken(self) -> None:
        with self.channel(self.key, self.cert) as channel:
            request = pb.ConfigureRequest(name="orders", config=b'{"orders": {}}').SerializeToString()
            channel.unary_unary("/switchboard.plugin.v1.Plugin/Configure")(request, timeout=PATIENCE)
            to_plugin: queue.SimpleQueue = queue.SimpleQueue()
            to_plugin.put(pb.FromHost(ping=pb.Ping(number=7)).SerializeToString())
            connect = channel.stream_stream("/switchboard.plugin.v1.Plugin/Connect")
            line = connect(iter(to_plugin.get, None), timeout=PATIENCE)
            self.assertEqual(pb.FromPlugin.FromString(next(line)).pong.number, 7)
            line.cancel()
        self.assertEqual(self.process.wait(PATIENCE), 0)
        to_plugin.put(None)


if __name__ == "__main__":
    unittest.main()
