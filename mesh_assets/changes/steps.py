"""`mesh check --base REF`: does every contract's version step as far as its changes need?"""

from datetime import date

from mesh_assets.changes.ask import ask
from mesh_assets.changes.known import known_columns
from mesh_assets.changes.proposed import between, mesh_at, steps
from mesh_assets.deprecation import warnings
from mesh_assets.domain import Mesh
from mesh_assets.environment import Environment
from mesh_assets.errors import Problem
from mesh_assets.settings import Settings


def problems_since(
    mesh: Mesh, settings: Settings, base: str, today: date
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Version steps that are too small since a git ref, and warnings that tell new readers apart; in the order of the files."""
    env = Environment.open(mesh, settings)
    env.sync()
    with mesh_at(mesh, base) as before:
        known = known_columns(env, before)
        report = ask(env, between(before, mesh, known, known.as_built)).report
        found = tuple(sorted(steps(before, mesh, report.needed), key=lambda problem: problem.where))
        return found, warnings(mesh, today, before)
