"""JUnit's XML of a kitchen's test: what a build server shows must not be greener than the report."""

from xml.etree import ElementTree as ET

from mesh_assets.kitchen.junit import xml


def domain(name: str, tables: list[tuple[str, str]], results: list[tuple[str, str, str]]) -> dict:
    return {
        "domain": name,
        "tables": [{"table": table, "status": status, "message": f"why {status}"} for table, status in tables],
        "results": [
            {"table": table, "test": test, "status": status, "message": f"<{status}> & more"}
            for table, test, status in results
        ],
    }


def suites(*domains: dict) -> dict[str, ET.Element]:
    return {suite.get("name", ""): suite for suite in ET.fromstring(xml({"kitchen": "k1", "domains": list(domains)}))}


def test_a_case_per_table_and_test_with_what_came_of_it():
    found = suites(
        domain(
            "shop",
            [("shop/orders", "published")],
            [("shop/orders", "id_unique", "pass"), ("shop/orders", "old", "warn")],
        ),
        domain(
            "finance",
            [("finance/a", "failed"), ("finance/b", "held"), ("finance/c", "skipped"), ("finance/d", "unchanged")],
            [("finance/b", "total_range", "fail"), ("finance/b", "rule", "error")],
        ),
    )
    shop, finance = found["shop"], found["finance"]
    assert [(case.get("classname"), case.get("name"), len(case)) for case in shop] == [
        ("shop/orders", "is built", 0),
        ("shop/orders", "id_unique", 0),
        ("shop/orders", "old", 1),
    ]
    assert shop[2][0].text == "warning: <warn> & more"
    assert shop.attrib == {"name": "shop", "tests": "3", "failures": "0", "errors": "0", "skipped": "0"}
    assert [[kind.tag for kind in case] for case in finance] == [
        ["error"], ["failure"], ["skipped"], [], ["failure"], ["error"],
    ]  # fmt: skip
    assert finance[0][0].get("message") == "why failed"
    assert finance.attrib == {"name": "finance", "tests": "6", "failures": "2", "errors": "2", "skipped": "1"}
