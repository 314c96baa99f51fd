"""What is in the portal's menu. A room that gets pages of its own adds its line here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu: the section that a page names, its label, where it leads.

    Attributes:
        live: Only a server has it: it is not among the files of an export.
    """

    section: str
    label: str
    path: str
    live: bool = False


MENU = (
    Entry("domains", "Domains", "/mesh/"),
    Entry("tables", "Tables", "/mesh/tables"),
    Entry("pipelines", "Pipelines", "/mesh/pipelines"),
    Entry("incidents", "Incidents", "/mesh/incidents"),
    Entry("changes", "Changes", "/mesh/changes"),
    Entry("kitchens", "Kitchens", "/mesh/kitchens", live=True),
    Entry("status", "Status", "/mesh/status"),
)
