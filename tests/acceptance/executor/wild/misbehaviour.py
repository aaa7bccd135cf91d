"""Tasks that do what tasks should not; one DAG for each, so that each has a run of its own."""
# mypy: ignore-errors

import ctypes
import os
import signal
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

SMALL = {"resources": {"cpu": "100m", "memory": "256Mi"}}


def note(name, text):
    path = Path(os.environ["TRACES_FOLDER"]) / f"{name}.txt"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(handle, f"{text}\n".encode())
    os.close(handle)


@task(executor_config=SMALL)
def forks_daemons():
    # Twice forked, in a session of its own, adopted by whoever adopts; it keeps the task's log open.
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                note("forks_daemons", os.getpid())
                while True:
                    time.sleep(60)
            os._exit(0)
        os.wait()
    time.sleep(0.5)
    return "left"


@task(executor_config=SMALL, execution_timeout=timedelta(seconds=2))
def ignores_its_end():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    note("ignores_its_end", os.getpid())
    while True:
        try:
            time.sleep(60)
        except BaseException as error:
            print("ignored", type(error).__name__)


@task(executor_config={"resources": {"cpu": "100m", "memory": "512Mi"}})
def fills_its_temporary_folder():
    folder = Path(tempfile.gettempdir())
    note("fills_its_temporary_folder", folder)
    (folder / "large").write_bytes(b"x" * 100 * 2**20)
    deep = folder
    for _ in range(200):
        deep = deep / "deep"
        deep.mkdir()
    for number in range(2000):
        (folder / f"{number}").touch()
    (folder / "closed").mkdir()
    (folder / "closed" / "file").touch()
    (folder / "closed").chmod(0)
    (folder / "root").symlink_to("/")
    return str(folder)


@task(executor_config={"resources": {"cpu": "100m", "memory": "512Mi", "disk": "20Mi"}})
def exceeds_its_disk():
    (Path(tempfile.gettempdir()) / "large").write_bytes(os.urandom(60 * 2**20))
    os.sync()
    time.sleep(60)
    return "not noticed"


@task(executor_config=SMALL)
def closes_its_files():
    note("closes_its_files", os.getpid())
    os.closerange(0, 4096)
    time.sleep(0.5)
    return "never told"


@task(executor_config=SMALL)
def reads_memory_that_is_not_there():
    note("reads_memory_that_is_not_there", os.getpid())
    ctypes.string_at(0)


@task(executor_config=SMALL)
def floods_its_log():
    line = "x" * 999
    begun = time.monotonic()
    for number in range(100_000):
        print(f"{number:06}{line}")
    print(f"the last line, after {time.monotonic() - begun:.1f} s")
    return "said"


@task(executor_config={"resources": {"cpu": "100m", "memory": "256Mi"}})
def eats_memory():
    note("eats_memory", os.getpid())
    eaten = []
    while True:
        eaten.append(os.urandom(2**20) * 16)


@task(executor_config={"resources": {"cpu": "100m", "memory": "256Mi"}})
def lets_a_child_eat_memory():
    import subprocess

    subprocess.run(
        [sys.executable, "-c", "x = []\nwhile True: x.append(b'y' * 2**24)"], check=True, timeout=60
    )


@task(executor_config={"resources": {"cpu": "100m", "memory": "512Mi"}})
def exhausts_processes():
    made = 0
    try:
        for _ in range(2000):
            pid = os.fork()
            if pid == 0:
                time.sleep(600)
                os._exit(0)
            made += 1
            note("exhausts_processes", pid)
    except OSError as error:
        print(f"refused after {made}: {error}")
    return made


@task(executor_config=SMALL)
def leaves_threads():
    # A thread that is no daemon keeps an interpreter from its end.
    threading.Thread(target=time.sleep, args=(3600,)).start()
    note("leaves_threads", os.getpid())
    return "left"


@task(executor_config=SMALL)
def tells_its_environment():
    note("tells_its_environment", os.getpid())
    deadline = time.monotonic() + 120
    while not (Path(os.environ["TRACES_FOLDER"]) / "seen").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return dict(os.environ)


for misbehave in (
    forks_daemons,
    ignores_its_end,
    fills_its_temporary_folder,
    exceeds_its_disk,
    closes_its_files,
    reads_memory_that_is_not_there,
    floods_its_log,
    eats_memory,
    lets_a_child_eat_memory,
    exhausts_processes,
    leaves_threads,
    tells_its_environment,
):
    with DAG(misbehave.function.__name__, schedule=None) as dag:
        misbehave()
    globals()[dag.dag_id] = dag
