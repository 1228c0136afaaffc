"""A long link on one machine: TCP between two ports of loopback, each byte late by half of the round trip.

Not netem: not every kernel has it (this workplace's has not), and a relay needs neither namespaces nor root.
"""

import queue
import socket
import threading
import time


class SlowRoad:
    def __init__(self, port, round_trip_ms):
        """To this port of 127.0.0.1, from .port."""
        self._to = port
        self._late = round_trip_ms / 2000
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            for one in (here, there):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink in ((here, there), (there, here)):
                on_the_way = queue.Queue(maxsize=4096)
                threading.Thread(target=self._take, args=(source, on_the_way), daemon=True).start()
                threading.Thread(target=self._give, args=(sink, on_the_way), daemon=True).start()

    def _take(self, source, on_the_way):
        while True:
            try:
                piece = source.recv(65536)
            except OSError:
                piece = b""
            on_the_way.put((time.monotonic() + self._late, piece))
            if not piece:
                return

    @staticmethod
    def _give(sink, on_the_way):
        while True:
            due, piece = on_the_way.get()
            time.sleep(max(0, due - time.monotonic()))
            try:
                if piece:
                    sink.sendall(piece)
                else:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it is gone; what still comes goes nowhere
            if not piece:
                return

    def end(self):
        self._listener.close()
