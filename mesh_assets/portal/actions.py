"""What a page can start: build again, test again, open a kitchen, ask for access. Each is a job with a page of its own."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from mesh_assets import address as names
from mesh_assets.account import access
from mesh_assets.address import Address, NotFound
from mesh_assets.errors import UsageError, nearest
from mesh_assets.kitchen.place import suggested
from mesh_assets.portal import jobs, sandboxes
from mesh_assets.portal.site import View

ACTIONS: Mapping[str, str] = {
    "run": "Build again",
    "test": "Run its tests",
    "kitchen": "Open a kitchen",
    "access": "Ask for access",
}


def perform(view: View, where: str, action: str, form: Mapping[str, str], *, by: str) -> str:
    """Begin an action on a domain or a table; the id of its job.

    Raises:
        NotFound: There is no such action, domain or table.
        UsageError: The form says too little.
    """
    if action not in ACTIONS:
        raise NotFound(f"there is no action `{action}`\n    {nearest(action, ACTIONS)}")
    address = names.parse(view.env.mesh, "/".join(map(unquote, where.split("/"))))
    if address.version is not None:
        raise UsageError("a version is never built again in its place\n    `mesh rebuild` makes it again beside it.")
    target, about = str(address), names.path(address, "what")
    if action == "access":
        return ask(view, address, form, by=by)
    if action == "kitchen":
        default = f"{address.domain}-{datetime.now(UTC):%m%d-%H%M}"
        return sandboxes.perform(view, form.get("name", "").strip() or suggested(default), "open", form, by=by)
    words = ["run", target, "--force"] if action == "run" else ["test", target]
    return jobs.start(view.env, f"{ACTIONS[action]}: {target}", words, about=about, by=by)


def ask(view: View, address: Address, form: Mapping[str, str], *, by: str) -> str:
    """Keep a request for access where the domain's team sees it."""
    made = access.ask(view.env, address, who=by or form.get("who", ""), why=form.get("why", ""))
    team = view.env.mesh.domains[address.domain].team
    reach = team.support or team.owner
    said = f"Asked by {made.who}: {made.why}\n\nThe request is kept, and shown to {team.name or 'the team'} on the page Where of {address}."
    said += "\nWhat they answer is shown there, too."
    said += f"\nTo reach them now: {reach}" if reach else ""
    return jobs.note(view.env, f"Access to {address}", about=names.path(address, "where"), by=made.who, output=said)
