"""Times as a device prints them: English names, in whatever language the controller speaks."""

from __future__ import annotations

import _strptime
import inspect
import locale
from datetime import datetime

import pytest

from mindie_deploy.hosts import hccn_details
from mindie_deploy.hosts.hccn_details import device_time

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LANGUAGES = ("zh_CN.UTF-8", "zh_CN.utf8", "de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "ja_JP.UTF-8")


@pytest.mark.parametrize("month", range(1, 13))
def test_every_month(month: int) -> None:
    assert device_time(f"Wed {MONTHS[month - 1]}  2 03:09:26 2022") == datetime(2022, month, 2, 3, 9, 26)


def test_the_controllers_language_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """strptime and what it knows of a language are out of the way; a foreign locale is set where there is one."""

    def refuse(*_: object) -> None:
        raise ValueError("the names of another language")

    monkeypatch.setattr(_strptime, "_strptime", refuse)
    assert "strptime(" not in inspect.getsource(hccn_details)
    before = locale.setlocale(locale.LC_ALL)
    try:
        for language in LANGUAGES:
            try:
                locale.setlocale(locale.LC_ALL, language)
            except locale.Error:
                continue
            assert device_time("Wed May  2 03:09:26 2022") == datetime(2022, 5, 2, 3, 9, 26)
    finally:
        locale.setlocale(locale.LC_ALL, before)
    assert device_time("Wed Dec 31 23:59:59 2025") == datetime(2025, 12, 31, 23, 59, 59)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "NA",
        "Wed Feb 30 03:09:26 2022",
        "Wed Aug  2 25:09:26 2022",
        "Wed aug  2 03:09:26 2022",
        "\u5468\u4e09 8\u6708  2 03:09:26 2022",
        "Wed Aug  2 03:09:26 22",
        "Fri Dec 31 23:59:59 9999",
        "Mon Jan  1 00:00:00 0001",
        "Wed Aug  2 03:09:26 2022 UTC",
    ],
)
def test_what_is_no_time_or_no_time_of_a_device(text: str | None) -> None:
    assert device_time(text) is None


def test_a_clock_that_was_never_set_is_a_time() -> None:
    assert device_time("Thu Jan  1 00:00:05 1970") == datetime(1970, 1, 1, 0, 0, 5)
