"""A chat call of another library that a transport paces: it waits in a thread of its own, and asks again and again."""

from simulation.callers import Config

RECHECK = 1.0
"""Seconds after which it always asks again."""
ANSWER_INTERVAL = 0.05
"""Seconds between two looks whether the answer has arrived that must come first."""
CONFIG = Config("chat")


class ChatCall:
    """One call, in the process whose limiter it uses."""

    def __init__(self, world, name, process):
        self.world = world
        self.name = name
        self.process = process
        self.submitted_at = self.sent_at = None

    def __str__(self):
        return self.name

    def submit(self):
        """Ask for a slot, and begin when there is one."""
        self.submitted_at = self.world.clock.now
        self.world.run(self._steps(), self.process)

    def _steps(self):
        world, limiter = self.world, self.process.limiter
        while True:
            pause, _ = limiter.acquire(self.name, max_duration=CONFIG.max_duration, cap=None, interactive=True)
            world.asked_for_somebody(self.process, self.name, pause)
            if pause is None:
                break
            world.note_again(self, "denied", pause)
            yield min(pause.seconds or ANSWER_INTERVAL, RECHECK) + world.pause()
        world.slots_taken[self.name] = self.process
        yield world.pause()
        self.sent_at = world.clock.now
        world.note(self, "sends")
        exchange = world.network.send(CONFIG, [], CONFIG.encoding_format)
        yield exchange.ends_at - world.clock.now
        result = world.network.result(exchange, [])
        world.note(self, "hears", result.status)
        self.process.limiter.complete(self.name, result)
        world.completed(self.process, self.name, result)
