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
from tests.support.patience import BUSY

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
    with signals.handle_signals(lambda number, frame: came.append(number)):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert came == [number, number]
    assert [signal.getsignal(item) for item in ENDING] == before


def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.handle_signals(lambda number, frame: pytest.fail("it came")):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_leaves_the_signals_as_they_are() -> None:
    before = [signal.getsignal(item) for item in ENDING]
    seen: list[object] = []

    def look() -> None:
        with (
            signals.handle_signals(lambda number, frame: None),
            signals.preserve_handlers(),
            signals.unheard(),
        ):
            seen.extend(signal.getsignal(item) for item in ENDING)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == before


def test_a_process_started_while_signals_are_blocked_is_deaf_to_them_and_its_parent_is_not() -> (
    None
):
    # Not here: threads of libraries that other tests imported would take what is held back.
    parent = child(
        "import subprocess\n"
        "came = []\n"
        "with signals.handle_signals(lambda number, frame: came.append(number)):\n"
        "    with signals.blocked():\n"
        "        deaf = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "        os.kill(os.getpid(), signal.SIGUSR1)\n"
        "        print(came)\n"
        "    print(came == [signal.SIGUSR1])\n"
        "    for number in signals.EXIT_CODES: deaf.send_signal(number)\n"
        "    time.sleep(0.3)\n"
        "    print(deaf.poll())\n"
        "    deaf.kill()\n"
        "    print(deaf.wait())\n"
    )
    said = parent.communicate(timeout=10 * BUSY)[0]
    assert said.splitlines() == ["[]", "True", "None", str(-signal.SIGKILL)]


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
    begin = "with signals.handle_signals(lambda *_: None):" if taken else "try:"
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


def test_a_command_that_ends_waits_for_others_no_longer_than_it_has_time() -> None:
    command = child(
        "print(signals.patience(5.0))\n"
        "signals.interrupt_at_first(60)\n"
        "print(signals.patience(5.0))\n"
        "try: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)\n"
        "except KeyboardInterrupt: print(signals.patience(5.0), 50 < signals.patience(100) < 60)\n"
    )
    assert command.communicate(timeout=10 * BUSY)[0].split() == ["5.0"] * 3 + ["True"]


# A C call that looks at no signals: no handler is run before it returns.
DEAF = "os.system('echo ready; exec sleep 20 > /dev/null 2>&1')"


@pytest.mark.parametrize(
    "around", ["if True", "with signals.blocked()", "with signals.preserve_handlers()"]
)
def test_a_command_whose_main_thread_is_deaf_says_its_last_words_and_ends(around: str) -> None:
    command = child(
        "signals.interrupt_at_first(0.3)\n"
        "def hang(number): time.sleep(60)\n"
        "def broken(number): raise OSError\n"
        "def told(number): os.write(1, number.name.encode())\n"
        "last = signals.last_words\n"
        "with last(hang), last(told), last(broken):\n"
        f"    {around}: {DEAF}\n",
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    command.send_signal(signal.SIGUSR1)
    said, hangs = command.communicate(timeout=10 * BUSY)
    assert (said, hangs) == ("SIGUSR1", "something hangs: left without waiting for it\n")
    assert command.returncode == signals.PREEMPTED


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_before_the_command_line_is_read_ends_with_its_code(number: Signals) -> None:
    command = child(
        "class Slow:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name == 'typer': print('ready'); time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from lora2_search.cli import main\n"
        "main()\n",
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    command.send_signal(number)
    assert command.communicate(timeout=10 * BUSY) == (
        "",
        "interrupted before anything was started\n",
    )
    assert command.returncode == signals.EXIT_CODES[number]


@pytest.mark.parametrize("number", ENDING)
def test_a_library_does_not_get_the_ending_signals(number: Signals) -> None:
    came: list[int] = []
    alarm = signal.getsignal(signal.SIGALRM)
    with signals.handle_signals(lambda number, frame: came.append(number)):
        with signals.preserve_handlers():
            signal.signal(number, lambda number, frame: pytest.fail("the library has it"))
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert came == [number, number]
    assert signal.signal(signal.SIGALRM, alarm) == signal.SIG_IGN


def test_what_a_command_starts_is_deaf_until_it_lets_signals_through() -> None:
    again = "from lora2_search import signals; signals.let_through();"
    sleeper = "print('ready', flush=True); import time; time.sleep(60)"
    command = child(
        "import subprocess\n"
        "signals.interrupt_at_first(60)\n"
        f"for code in ({sleeper!r}, {again + sleeper!r}):\n"
        "    one = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
        "    one.stdout.readline(); one.terminate()\n"
        "    try: print(one.wait(2))\n"
        "    except subprocess.TimeoutExpired: print('deaf'); one.kill()\n"
    )
    assert command.communicate(timeout=20 * BUSY)[0] == f"deaf\n{-signal.SIGTERM}\n"


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
