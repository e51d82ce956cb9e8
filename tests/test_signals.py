from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from signal import Signals

import pytest

from lora2_search import signals

ENDING = sorted(signals.EXIT_CODES)


def child(code: str, **more: object) -> subprocess.Popen[str]:
    script = f"import os, signal, sys, time\nfrom lora2_search import signals\n{code}"
    return subprocess.Popen(
        [sys.executable, "-u", "-c", script], text=True, **{"stdout": subprocess.PIPE, **more}
    )


@pytest.mark.parametrize("number", ENDING)
def test_an_ending_signal_is_taken_and_given_back(number: Signals) -> None:
    came: list[int] = []
    before = [signal.getsignal(item) for item in ENDING]
    with signals.taken(lambda number, frame: came.append(number)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert came == [number, number]
    assert [signal.getsignal(item) for item in ENDING] == before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.taken(lambda number, frame: pytest.fail("it came")):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_leaves_the_signals_as_they_are() -> None:
    before = [signal.getsignal(item) for item in ENDING]
    seen: list[object] = []

    def look() -> None:
        with signals.taken(lambda number, frame: None), signals.kept(), signals.unheard():
            seen.extend(signal.getsignal(item) for item in ENDING)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before


def test_a_process_started_while_signals_are_blocked_is_deaf_to_them_and_its_parent_is_not() -> (
    None
):
    came: list[int] = []
    with signals.taken(lambda number, frame: came.append(number)):
        with signals.blocked():
            deaf = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
            os.kill(os.getpid(), signal.SIGUSR1)
            assert came == []
        assert came == [signal.SIGUSR1]
        for number in ENDING:
            deaf.send_signal(number)
        time.sleep(0.3)
        assert deaf.poll() is None
        deaf.kill()
        assert deaf.wait() == -signal.SIGKILL


@pytest.mark.parametrize("number", ENDING)
def test_the_first_signal_interrupts_a_command_and_later_ones_do_not(number: Signals) -> None:
    command = child(
        "signals.interrupt_at_first(60)\n"
        "try: print('ready'); time.sleep(60)\n"
        "except KeyboardInterrupt as error:\n"
        "    print(signals.signal_of(error).name)\n"
        "    time.sleep(0.5)\n"
        "    print('put away')\n"
        "    signals.hurry(signals.EXIT_CODES[error.signal])\n"
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    for _ in range(3):
        command.send_signal(number)
        time.sleep(0.05)
    assert command.communicate(timeout=30)[0] == f"{number.name}\nput away\n"
    assert command.returncode == signals.EXIT_CODES[number]


@pytest.mark.parametrize("taken", [True, False])
def test_a_command_that_hangs_is_ended_with_the_code_of_its_signal(taken: bool) -> None:
    begin = "with signals.taken(lambda *_: None):" if taken else "try:"
    command = child(
        "signals.interrupt_at_first(0.3)\n"
        f"{begin} print('ready'); time.sleep(60)\n"
        + ("" if taken else "except KeyboardInterrupt: time.sleep(60)\n"),
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGTERM)
    assert "something hangs" in command.communicate(timeout=30)[1]
    assert command.returncode == signals.PREEMPTED


def test_what_is_said_when_the_terminal_is_gone_goes_nowhere(tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    told = tmp_path / "told"
    command = child(
        "import fcntl, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "signals.interrupt_at_first(60)\n"
        "try: print('ready'); time.sleep(60)\n"
        "except KeyboardInterrupt as error:\n"
        "    print('nobody reads this')\n"
        f"    open({str(told)!r}, 'w').write(error.signal.name)\n",
        stdin=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    os.close(terminal)
    os.close(controller)
    assert command.wait(30) == 0
    assert told.read_text() == "SIGHUP"
