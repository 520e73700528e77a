# SPDX-License-Identifier: Apache-2.0
"""Small clusters of Dask and Ray on this machine, for measures and tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_PATIENCE_S = 200.0  # until Ray has begun on a busy machine


@contextmanager
def dask(workers: int) -> Iterator[str]:
    """Its address for --executor. Behind the block all of its processes have ended."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address.replace("tcp://", "dask://")


@contextmanager
def ray(workers: int) -> Iterator[str]:
    """As `dask`, with a head node of Ray on free ports. RuntimeError where it does not begin."""
    import ray as library

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += ["--node-ip-address=127.0.0.1", "--port=0", f"--ray-client-server-port={port}"]
    command += [f"--num-cpus={workers}", "--include-dashboard=false", "--disable-usage-stats"]
    command += ["--object-store-memory=200000000"]
    # As other processes: else its workers wait for them, at a niceness of 15.
    own = {"RAY_raylet_start_wait_time_s": f"{_PATIENCE_S:.0f}", "RAY_worker_niceness": "0"}
    process = subprocess.Popen(
        command,
        env={**os.environ, **own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield f"ray://127.0.0.1:{port}"
    finally:
        library.shutdown()  # where this process is its client
        process.terminate()  # it ends its own
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("Ray did not begin")


CLUSTERS: dict[str, Callable[[int], AbstractContextManager[str]]] = {"dask": dask, "ray": ray}
