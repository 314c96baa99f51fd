"""What is in the portal's menu. A room that gets pages of its own adds its line here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu: the section that a page names, its label, where it leads."""

    section: str
    label: str
    path: str


MENU = (
    Entry("domains", "Domains", "/mesh/"),
    Entry("tables", "Tables", "/mesh/tables"),
    Entry("status", "Status", "/mesh/status"),
)
