"""The host's clock against the controller's, from the times at which a collection was asked for and answered.

The host read its clock after the request was sent and before the answer came. So its skew lies between two bounds,
half their distance is the uncertainty, and connecting to a slow host widens it; nothing is assumed about the network.
"""

from __future__ import annotations

from collections.abc import Mapping

from mindie_deploy.hosts.answer import seconds_of
from mindie_deploy.hosts.facts import ClockFacts, Reading, Unknown

STEP_S = 1.0  # a clock that ran differently from the steady one by more than this was set during the collection
TOLERANCE_S = 0.05  # bounds may cross by as much as the clocks drift and are rounded


def clock(
    collection: Mapping[str, object], requested_at: float | None, answered_at: float | None
) -> Reading[ClockFacts]:
    """Returns the skew in seconds (positive: the host is ahead), or why there is none."""
    started, finished = seconds_of(collection.get("started")), seconds_of(collection.get("finished"))
    lasted = seconds_of(collection.get("seconds"))
    if requested_at is None or answered_at is None:
        return Unknown("the controller's times of this collection are not known")
    if started is None or finished is None:
        return Unknown("the collection has no times of the host")
    if lasted is not None and abs((finished - started) - lasted) > STEP_S:
        return Unknown("the host's clock was set while the collection ran")
    lowest, highest = finished - answered_at, started - requested_at
    if lowest > highest + TOLERANCE_S:
        return Unknown("the times contradict each other: a clock was set while the collection ran")
    return ClockFacts(skew_s=(lowest + highest) / 2, uncertainty_s=max(0.0, (highest - lowest) / 2))
