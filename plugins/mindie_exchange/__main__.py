# SPDX-License-Identifier: Apache-2.0
"""`python3 agent.pyz < plan.json`: takes part in one exchange of weights and ends with it."""

from __future__ import annotations

import sys

from mindie_exchange.agent import Agent
from mindie_exchange.host import AgentError
from mindie_exchange.plan import PlanError, read_plan
from mindie_exchange.progress import complain, write_status

LARGEST_PLAN = 64 * 1024 * 1024
UNUSABLE = 2


def main() -> int:
    """Returns 0 (done), 1 (failed), 2 (the plan cannot be followed), 3 (stopped)."""
    text = sys.stdin.buffer.read(LARGEST_PLAN + 1)
    try:
        if len(text) > LARGEST_PLAN:
            raise PlanError("the plan is longer than %d bytes" % LARGEST_PLAN)
        plan = read_plan(text.decode("utf-8"))
    except (PlanError, UnicodeDecodeError) as error:
        complain(str(error))
        return UNUSABLE
    try:
        return Agent(plan).run()
    except AgentError as error:
        write_status(plan.status_file, {"state": "failed", "message": str(error)})
        complain(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
