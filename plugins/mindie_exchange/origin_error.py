# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with bytes from outside of the exchange. A module of its own: only a hub needs the rest."""

from __future__ import annotations


class OriginError(Exception):
    """Bytes that cannot be had. `retry_after`: seconds to wait before another try, if the server named them.

    `final`: another try is useless until somebody changes something.
    """

    def __init__(self, message: str, retry_after: float | None = None, final: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.final = final


class BrokenError(Exception):
    """One request failed in a way that another one may mend."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
