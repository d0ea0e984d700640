"""What the serving benchmarks share: servers to start, requests to send. Standard library only."""

import http.client
import json
import os
import socket
import subprocess
import time
import urllib.parse


class Server:
    """A server process, killed at the end of a `with` block."""

    def __init__(self, name, command, port, log, env=None):
        self.name, self.port, self.url = name, port, f"http://127.0.0.1:{port}"
        self.log = open(log, "w")
        self.process = subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )

    def __enter__(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended: see {self.log.name}")
            try:
                if request(self.url, "GET", "/health")[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{self.name} was not ready within two minutes")

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()

    def memory_mib(self):
        """Resident memory."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def dragoman(binary, model, log, *flags, settings=None):
    """Dragoman with one model, a catalogue name or a path."""
    port = free_port()
    command = [binary, "serve", "--listen", f"127.0.0.1:{port}", "--model", model, *flags]
    env = {f"DRAGOMAN_ENGINE_{key.upper()}": str(value) for key, value in (settings or {}).items()}
    return Server("dragoman", command, port, log, env)


def llama_server(binary, gguf, slots, context, threads, log, *flags):
    """llama.cpp's server with `slots` places of `context` tokens each."""
    port = free_port()
    command = [binary, "-m", gguf, "--port", str(port), "-np", str(slots), "-t", str(threads)]
    command += ["-c", str(slots * context), "--no-webui", *flags]
    return Server("llama.cpp", command, port, log)


def request(url, method, path, body=None, timeout=600):
    """Status and body of one request."""
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=timeout)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def completion(model, prompt, tokens, **more):
    """The body of a greedy completion of exactly so many tokens."""
    body = {"model": model, "prompt": prompt, "max_tokens": tokens}
    return {**body, "temperature": 0, "ignore_eos": True, **more}


def stream(url, path, body, stop=None):
    """Times at which the pieces of a streamed answer arrived.

    Ends early, hanging up, when `stop()` says so.
    """
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=600)
    times = []
    try:
        data = json.dumps({**body, "stream": True})
        connection.request("POST", path, data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {answer.read()[:300]}")
        while line := answer.readline():
            if line.startswith(b"data: ") and b"[DONE]" not in line:
                times.append(time.monotonic())
                if b'"error"' in line:
                    raise RuntimeError(line.decode())
            if stop is not None and stop(times):
                break
        return times
    finally:
        connection.close()


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
