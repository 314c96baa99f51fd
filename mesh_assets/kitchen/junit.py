"""What `mesh kitchen test` found, as JUnit's XML: a suite per domain, a case per table that was to be built and per test."""

from collections import Counter
from xml.etree import ElementTree as ET

from mesh_assets.catalog import Json

_WORDS = {"held": "failure", "failed": "error", "skipped": "skipped", "fail": "failure", "error": "error"}
"""What a status is in JUnit; every other one passed."""


def xml(report: Json) -> str:
    """The XML of a report."""
    suites = ET.Element("testsuites", name=f"kitchen {report['kitchen']}")
    for domain in report["domains"]:
        suite = ET.SubElement(suites, "testsuite", name=domain["domain"])
        told: Counter[str] = Counter()
        for table in domain["tables"]:
            told[_case(suite, table["table"], "is built", table["status"], table["message"])] += 1
        for item in domain["results"]:
            told[_case(suite, item["table"], item["test"], item["status"], item["message"])] += 1
        suite.set("tests", str(told.total()))
        suite.set("failures", str(told["failure"]))
        suite.set("errors", str(told["error"]))
        suite.set("skipped", str(told["skipped"]))
    return ET.tostring(suites, encoding="unicode")


def _case(suite: ET.Element, table: str, name: str, status: str, message: str) -> str:
    case = ET.SubElement(suite, "testcase", classname=table, name=name)
    word = _WORDS.get(status, "")
    if word:
        ET.SubElement(case, word, message=message)
    elif status == "warn":
        ET.SubElement(case, "system-out").text = f"warning: {message}"
    return word
