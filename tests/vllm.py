"""The real vLLM server on the CPU, with the tiny model that the tests train (`tests.tiny_llm`)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests import tiny_llm
from tests.support import ROOT, require

PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
MODEL = "tiny"
READY_SECONDS = 600


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class VllmServer:
    """The server, which a test may stop and start again on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"
        self._log = folder.parent / "vllm.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", str(self.folder), "--served-model-name", MODEL]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--dtype", "float32"]
        # Compiling so small a model takes longer than it saves.
        command += ["--max-model-len", str(tiny_llm.CONTEXT), "--enforce-eager"]
        command += ["--enable-prompt-tokens-details"]
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            # The sampler would be compiled all the same, which takes a C++ compiler.
            "TORCHDYNAMO_DISABLE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
        }
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        self._wait()

    def stop(self) -> None:
        """End the server and the processes it started."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """As `kill -9` does: nothing is finished, nobody is told."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _wait(self) -> None:
        assert self._process is not None
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if self._process.poll() is not None:
                    break
                time.sleep(0.5)
        self.stop()
        raise AssertionError(f"The vLLM server did not start:\n{self._log.read_text()[-3000:]}")


def make_server() -> VllmServer:
    """A server of the model that the tests train, once; skipped where vLLM is not installed."""
    installed()
    return VllmServer(tiny_llm.trained(ROOT / ".pytest_cache" / "tiny_llm"), free_port())


def installed() -> None:
    require(PYTHON.exists(), "vLLM is not installed (make vllm-cpu)")
