"""Runs the agent of the exchange as a host does, its plan on stdin; runs under any Python from 3.7 on.

EXCHANGE_CONSTANTS: {"module.NAME": value} changes time limits, so that tests need not wait for minutes.
"""

import importlib
import json
import os
import sys


def main():
    for name, value in json.loads(os.environ.get("EXCHANGE_CONSTANTS", "{}")).items():
        module, constant = name.split(".")
        found = importlib.import_module("mindie_exchange." + module)
        getattr(found, constant)
        setattr(found, constant, value)
    return importlib.import_module("mindie_exchange.__main__").main()


if __name__ == "__main__":
    sys.exit(main())
