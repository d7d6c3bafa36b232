"""Those who want to know how long it takes: callers of `estimate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from electronhub_embeddings._scheduling.actions import LookAhead

if TYPE_CHECKING:
    from electronhub_embeddings._rate_limit.outlook import Outlook
    from electronhub_embeddings._scheduling.inquiry import Inquiry
    from electronhub_embeddings._scheduling.request_queues import RequestQueues
    from electronhub_embeddings.errors import ElectronHubError


class Watchers:
    """Keeps the inquiries, and tells all of them what the limiter allows from now on."""

    def __init__(self) -> None:
        self.inquiries: list[Inquiry] = []
        """Those that have not been answered."""
        self.is_due = False
        """Whether the limiter has to be asked."""

    def inquire(self, inquiry: Inquiry) -> None:
        """Add an inquiry."""
        self.inquiries.append(inquiry)
        self.is_due = True

    def ask(self, cap: int | None) -> LookAhead:
        """Return what to ask the limiter.

        Args:
            cap: The limit of the clients that are attached, in requests per minute; those who inquire may have lower
                ones.
        """
        self.is_due = False
        return LookAhead(min(filter(None, (cap, *(inquiry.cap for inquiry in self.inquiries))), default=None))

    def tell(self, queues: RequestQueues, outlook: Outlook, now: float) -> list[Inquiry]:
        """Tell what the limiter has answered; return the inquiries whose callers are to be woken."""
        for inquiry in self.inquiries:
            inquiry.answer(queues, outlook, now)
        answered, self.inquiries = self.inquiries, []  # only now: after an internal error, `fail` is called
        return answered

    def fail(self, error: ElectronHubError) -> list[Inquiry]:
        """Fail all inquiries; return them."""
        failed, self.inquiries = self.inquiries, []
        for inquiry in failed:
            inquiry.fail(error)
        return failed
