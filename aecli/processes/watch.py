"""Whether the other processes live: each says so now and then; who has ended, all hear of it."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

import jax

from aecli import signals
from aecli.processes.native import NativeOutput, call_on_abort

_FOLDER = "aecli/alive"
# How often a process says that it lives, in seconds, and how often within the timeout at least.
_SECONDS_BETWEEN_BEATS = 1.0
_BEATS_IN_TIMEOUT = 8
# Silence of so many beats is enough where a connection is broken.
_BEATS_OF_A_LIVING = 3
# The first process carries what all say: it waits for the others to hear its last word.
_SECONDS_OF_GOODBYE = 5.0
_OF_JAX = ("coordination service", "JAX distributed service")


@dataclass(frozen=True)
class End:
    """Why a process ends before the work is done: the exit code, and one line for people."""

    code: int
    text: str


@dataclass(frozen=True)
class _Word:
    """What a process says of itself: a number that rises, and why it ends."""

    beat: int
    end: dict[str, Any] | None


class Watch:
    """Ends this process, with one line, where another one has ended or says nothing any more.

    What is said goes through the store of jax's coordination service, which the first process
    hosts.
    """

    def __init__(
        self,
        client: Any,
        names: Sequence[str],
        index: int,
        timeout: float,
        say: Callable[[str], None],
        resume: str,
        native: NativeOutput,
    ) -> None:
        """Begin to watch.

        `client`: of jax's coordination service. `names` of the processes, for people; this one's is
        `names[index]`. `timeout`: seconds. `say` prints a line; `resume` says how to go on.
        """
        self._client, self._names, self._index = client, names, index
        self._timeout, self._say, self._resume, self._native = timeout, say, resume, native
        self._interval = min(_SECONDS_BETWEEN_BEATS, timeout / _BEATS_IN_TIMEOUT)
        self._lock = threading.Lock()
        self._beats = 0
        # What the first process has said to be saved.
        self.saved: str | None = None
        self._end: End | None = None
        # With the work done nothing is said any more; with this process's own end, nothing judged.
        self._done = self._over = self._suspecting = False
        now = time.monotonic()
        # When each process, and the store itself, was heard of last.
        self._heard = [now] * len(names)
        self._answered = now
        self._words: list[_Word | None] = [None] * len(names)
        self._handler = call_on_abort(self._aborted)
        for work in (self._beat, self._judge):
            threading.Thread(target=work, name=f"aecli{work.__name__}", daemon=True).start()

    def stop(self) -> None:
        """Watch no more: the work is done, and the others may leave."""
        self._done = self._over = True

    def suspect(self) -> None:
        """Take notice of a broken connection; where a process is gone, this does not return."""
        self._suspecting = True
        time.sleep(min(self._timeout, _BEATS_IN_TIMEOUT * self._interval))

    def leave(self, end: End) -> None:
        """Tell the others why this process ends; once it has, or the work is done, nothing."""
        with self._lock:
            if self._over:
                return
            self._over, self._end = True, end
        self._try_to_speak()
        if self._index == 0:
            self._wait_for_others()

    def end_of_first(self, seconds: float) -> End | None:
        """Return why the first process ends, if it says so within so many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            word = self._words[0]
            if word is not None and word.end:
                return End(**word.end)
            time.sleep(self._interval / 4)
        return None

    def _beat(self) -> None:
        while not self._done:
            with suppress(jax.errors.JaxRuntimeError):
                self._speak()
                self._listen()
            time.sleep(self._interval)

    def _speak(self) -> None:
        self._beats += 1
        word = _Word(self._beats, asdict(self._end) if self._end else None)
        place = f"{_FOLDER}/{self._index}"
        self._client.key_value_set(place, json.dumps(asdict(word)), allow_overwrite=True)

    def _listen(self) -> None:
        entries = self._client.key_value_dir_get(f"{_FOLDER}/")
        now = self._answered = time.monotonic()
        for place, text in entries:
            index, word = int(place.rpartition("/")[2]), _Word(**json.loads(text))
            if word != self._words[index]:
                self._heard[index], self._words[index] = now, word

    def _try_to_speak(self) -> None:
        """Speak and listen once more, for as long as a living store takes."""

        def work() -> None:
            with suppress(jax.errors.JaxRuntimeError):
                self._speak()
                self._listen()

        speaking = threading.Thread(target=work, daemon=True)
        speaking.start()
        speaking.join(2 * self._interval)

    def _judge(self) -> None:
        looked = time.monotonic()
        while not self._over:
            time.sleep(self._interval / 4)
            now = time.monotonic()
            if now - looked > 2 * self._interval:
                # This process was stopped itself: nobody could be heard.
                self._answered = now
                self._heard = [now] * len(self._names)
            looked = now
            end = self._verdict(now)
            if end is not None and not self._over:
                self._end_at_once(end)

    def _verdict(self, now: float) -> End | None:
        """Return why this process has to end, if it has to."""
        for index, word in enumerate(self._words):
            if word is not None and word.end is not None and index != self._index:
                return End(**word.end)
        limit = self._timeout - 2 * self._interval
        if self._suspecting:
            limit = min(limit, _BEATS_OF_A_LIVING * self._interval)
        if self._index and now - self._answered > limit:
            return End(1, self._silent(0, now - self._answered))
        for index, heard in enumerate(self._heard):
            # The store has to have answered since.
            if index != self._index and self._answered - heard > limit:
                return End(1, self._silent(index, self._answered - heard))
        return None

    def _silent(self, index: int, seconds: float) -> str:
        if self._suspecting:
            return f"{self._names[index]} has ended without a word: killed, or its host is down"
        return f"{self._names[index]} has said nothing for {seconds:.0f} s: it is stuck or gone"

    def _end_at_once(self, end: End) -> NoReturn:
        """Say why, to people and to the others, and end the process."""
        with self._lock:
            if self._over:
                # Another thread is about to.
                time.sleep(_SECONDS_OF_GOODBYE)
            self._over, self._end = True, end
        self._try_to_speak()
        saved = f"{self.saved}; {self._resume}" if self.saved else "nothing is saved: begin again"
        if end.code == 1:
            self._say(f"{end.text}; {saved}")
        elif self._index == 0:
            # Wrong input, or a signal: it is enough that one says it.
            self._say(end.text)
        if self._index == 0:
            self._wait_for_others()
        signals.end_at_once(end.code)

    def _wait_for_others(self) -> None:
        """Let the others hear the last word: without the first process they hear nothing."""
        until = time.monotonic() + _SECONDS_OF_GOODBYE
        while time.monotonic() < until:
            with suppress(jax.errors.JaxRuntimeError):
                self._listen()
            now = time.monotonic()
            living = [
                index
                for index in range(1, len(self._names))
                if now - self._heard[index] < _BEATS_OF_A_LIVING * self._interval
            ]
            ended = (self._words[index] for index in living)
            if all(word is not None and word.end for word in ended):
                break
            time.sleep(self._interval / 4)

    def _aborted(self) -> None:
        """Explain why jax ends this process, and end it."""
        if self._over:
            # With the work done, or the end explained.
            time.sleep(0 if self._end is None else _SECONDS_OF_GOODBYE)
            signals.end_at_once(0 if self._end is None else self._end.code)
        lines = self._native.lines()
        of_jax = any(mark in line for line in lines for mark in _OF_JAX)
        if of_jax and self._index:
            self._suspecting = True
            self._end_at_once(End(1, self._silent(0, 0)))
        reason = next((line for line in lines if line.startswith(("F", "terminate"))), "no reason")
        self._end_at_once(End(1, f"a library has ended {self._names[self._index]}: {reason[:200]}"))
