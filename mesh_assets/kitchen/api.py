"""A kitchen, in Python: what the commands do, as functions of one object."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from mesh_assets import catalog, running, synthetic
from mesh_assets.catalog import Json, spelt
from mesh_assets.environment import Environment, home_of
from mesh_assets.errors import RunError, UsageError
from mesh_assets.kitchen import (
    changes,
    closing,
    comparing,
    equality,
    opening,
    place,
    promoting,
    reverting,
    synthesis,
    testing,
)
from mesh_assets.kitchen import listing as listings
from mesh_assets.kitchen.place import Site
from mesh_assets.kitchen.records import Records
from mesh_assets.mesh import find_mesh, read_mesh
from mesh_assets.running import Progress
from mesh_assets.settings import Settings


class Quiet:
    """Progress that nobody watches."""

    def starting(self) -> None:
        """Nothing is shown."""

    def __call__(self, env: Environment, run: str, tables: Iterable[str]) -> None:
        """Nothing is shown."""

    def done(self) -> None:
        """Nothing was shown."""


class Kitchen:
    """The whole mesh as a sandbox. As a context manager it is closed at the end, whatever is in it.

    ```python
    with Kitchen.open("tasting") as kitchen:
        (kitchen.root / "domains/shop/sql/orders.sql").write_text("select ...")
        assert kitchen.test()["ok"]
    ```
    """

    def __init__(self, site: Site, settings: Settings) -> None:
        self.site = site
        self._settings = settings
        self.opened: opening.Opened | None = None

    @classmethod
    def open(
        cls,
        name: str,
        *,
        root: Path | None = None,
        settings: Settings | None = None,
        source: str = opening.PRODUCTION,
        branch: str = "",
        ttl: str = "7d",
        variables: Mapping[str, str] | None = None,
        code: bool = True,
        synthetic: str = "",
        seed: int = 0,
        progress: Progress | None = None,
    ) -> "Kitchen":
        """Open a kitchen of the mesh in `root`; see `opening.open_kitchen`."""
        settings = settings or Settings()
        env = closing.production(root, settings)
        made = opening.open_kitchen(
            env,
            name,
            settings=settings,
            source=source,
            branch=branch,
            ttl=ttl,
            variables=variables,
            code=code,
            synthetic=synthetic,
            seed=seed,
            fill=lambda parent, site: cls(site, settings).filled(parent, progress),
        )
        kitchen = cls(made.site, settings)
        kitchen.opened = made
        return kitchen

    @classmethod
    def of(cls, name: str, *, root: Path | None = None, settings: Settings | None = None) -> "Kitchen":
        """One that is open.

        Raises:
            UsageError: There is none of that name.
        """
        settings = settings or Settings()
        mesh = read_mesh(root or find_mesh(settings.dir or Path.cwd()), tolerant=True)
        return cls(place.find(home_of(mesh, settings), name), settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (self.site.folder / place.FILE).is_file():  # not closed within
            self.close(force=True)

    @property
    def name(self) -> str:
        """Its name."""
        return self.site.name

    @property
    def root(self) -> Path:
        """Folder of its mesh, to change things in."""
        return self.site.root

    def environment(self) -> Environment:
        """Its mesh, lake and ledger; the mesh is read anew."""
        return opening.environment(self.site, self._settings)

    def production(self) -> Environment:
        """Production, where kitchens are on record."""
        return closing.production(self.site.production, self._outer())

    def target(self) -> Environment:
        """What it is promoted into: production, or the kitchen that it was opened from."""
        if not self.site.parent:
            return self.production()
        return opening.environment(place.find(self.site.production_home, self.site.parent), self._settings)

    def records(self) -> Records:
        """The record of all kitchens."""
        return Records(self.production().ledger)

    def run(self, *names: str, downstream: bool = False, force: bool = False, progress: Progress | None = None) -> Json:
        """`mesh run` in the kitchen."""
        with self.site.entered():
            env = self.environment()
            settings = self.site.settings(self._settings)
            return running.run_mesh(
                env, names, downstream=downstream, force=force, settings=settings, progress=progress or Quiet()
            )

    def sql(self, query: str) -> list[tuple]:
        """`mesh sql` in the kitchen: the rows."""
        return self.environment().lake.sql(query)[1]

    def test(self, downstream: str = "all", *, progress: Progress | None = None) -> Json:
        """Rebuild what has changed and what rests on it, and say what the tests of each domain say."""
        if downstream not in testing.CHOICES:
            raise UsageError(f"`{downstream}` is no reach\n    Say `all`, `direct` or `none`.")
        env = self.environment()
        wanted = testing.scope(env, self.site, downstream)
        rows = self._built(env, wanted, progress) if wanted else []
        env = self.environment()
        env.sync()
        report = testing.report(env, self.site, wanted, rows, downstream)
        kept = {
            "state": changes.state(env, self.site),
            "downstream": downstream,
            "ok": report["ok"],
            "at": testing.moment(),
            "domains": [
                {key: domain[key] for key in ("domain", "before", "after", "verdict")} for domain in report["domains"]
            ],
        }
        self.records().update(self.name, tested=kept)
        return report

    def filled(self, parent: Environment, progress: Progress | None) -> Site:
        """Make synthetic rows of the parent's sources, and build everything of them by the mesh's own code.

        Returns:
            The kitchen, whose base is what was built.
        """
        made = synthesis.make_up(parent, self.site)
        there = parent.seen()
        report = self.run(*(spelt(name) for name in self.environment().mesh.tables if name in there), progress=progress)
        env = self.environment()
        env.sync()
        built = env.ledger.versions()
        missing = {
            row["table"]: row["message"] for row in report["tables"] if row["table"].replace("/", ".", 1) not in built
        }
        for row in made:
            if row["table"] in missing:
                raise RunError(
                    f"the synthetic rows of {row['table']} are not as its contract says: {missing[row['table']]}\n"
                    "    Report it, with the contract; or take more rows: --synthetic 10%."
                )
        synthetic.write(
            self.site.home, {"tables": made, "not_comparable": synthetic.excused(env), "not_built": missing}
        )
        site = replace(self.site, snapshot=env.lake.head())
        site.write()
        return site

    def synthetic(self) -> Json | None:
        """What is known of a kitchen of synthetic rows as it was opened; None of any other."""
        told = synthetic.read(self.site.home)
        return {"percent": self.site.synthetic, "seed": self.site.seed, **told} if told else None

    def _built(self, env: Environment, wanted: frozenset[str], progress: Progress | None) -> list[Json]:
        """What came of the tables to test. What reads a variable is built although nothing else has changed of it, once."""
        named = changes.against_base(self.site, env.mesh).by_variables & wanted
        again = changes.not_built_since(env, self.site, named)
        first = self.run(*map(spelt, again), force=True, progress=progress)["tables"] if again else []
        rows = self.run(*map(spelt, sorted(wanted)), progress=progress)["tables"]
        published = {row["table"]: row for row in first if row["status"] == "published"}
        ended = ("published", "held", "failed", "skipped")
        return [row if row["status"] in ended else published.get(row["table"], row) for row in rows]

    def diff(self, *names: str) -> Json:
        """What differs from the base."""
        env = self.environment()
        env.sync()
        row = self.records().get(self.name)
        tables = catalog.named(env.mesh, names) if names else ()
        return comparing.diff(env, self.site, tables, tested=row.tested if row else None)

    def status(self) -> Json:
        """In what it differs from production now."""
        row = self.records().get(self.name)
        return equality.status(self.target(), self.environment(), self.site, row)

    def promote(self, *, waive: str = "", pr: bool = False, dry_run: bool = False) -> Json:
        """Publish exactly what was tested, and merge the code. What a kill left half done is finished."""
        started = time.monotonic()
        target, kitchen, records = self.target(), self.environment(), self.records()
        with target.lake.at_hand(), kitchen.lake.at_hand():
            found = self._promoted(target, kitchen, records, waive=waive, pr=pr, dry_run=dry_run)
        untold = self.tell(target) if not dry_run and not found.refused else ""
        return {
            "schema_version": 1,
            "kitchen": self.name,
            "dry_run": dry_run,
            "promoted": list(found.tables),
            "refused": [each.told() for each in found.refused],
            "version": found.version,
            "commit": found.commit,
            "finished_an_earlier_one": found.finished,
            "already": found.already,
            "left_to_production": list(map(spelt, found.left)),
            "replayed": list(map(spelt, found.replayed)),
            "synthetic": bool(self.site.synthetic),
            "rows_recomputed": 0,
            "rows_rewritten": found.rewritten,
            "untold": untold,
            "seconds": round(time.monotonic() - started, 3),
        }

    def _promoted(
        self, target: Environment, kitchen: Environment, records: Records, *, waive: str, pr: bool, dry_run: bool
    ) -> promoting.Promoted:
        row = records.get(self.name)
        if dry_run:
            if row is None:
                raise UsageError(f"kitchen `{self.name}` is not on record\n    Open it again.")
            if done := promoting.standing(kitchen, self.site, records):
                return done
            planned = promoting.plan(target, kitchen, self.site, row, waive=waive, pr=pr)
            return promoting.Promoted(
                refused=planned.refused,
                tables=promoting.foreseen(planned),
                left=planned.left,
                replayed=tuple(sorted(planned.features)),
            )
        return promoting.promote(target, kitchen, self.site, records, waive=waive, pr=pr)

    def revert(self, *, downstream: bool = False, dry_run: bool = False, code: bool = True) -> Json:
        """Undo its last promotion."""
        target = self.target()
        report = revert(target, self.records(), self.name, downstream=downstream, dry_run=dry_run, code=code)
        if report["version"]:
            self.tell(target)
        return report

    def rebase(self) -> Json:
        """Fork again from what production is now, with the kitchen's changes on top, and test."""
        production = self.production()
        closing.refuse_half(self.target(), self.site, self.records())
        before = {row["table"]: row for row in self.diff()["tables"]}
        self.site = opening.refork(
            production,
            self.target(),
            self.site,
            self._settings,
            lambda parent, site: Kitchen(site, self._settings).filled(parent, None),
        )
        report = self.test()
        after = {row["table"]: row for row in report["differences"]}
        moved = [
            {"table": name, "before": before[name]["rows"] if name in before else None, "after": after[name]["rows"]}
            for name in sorted(after)
            if name not in before or before[name]["rows"] != after[name]["rows"]
        ]
        return {**report, "rebased_on": {"snapshot": self.site.snapshot, "commit": self.site.commit}, "moved": moved}

    def unpromoted(self) -> list[str]:
        """What would be lost by closing it, in words."""
        return closing.unpromoted(self.environment(), self.site, self.records())

    def close(self, *, force: bool = False, keep_branch: bool = False) -> None:
        """Leave nothing of it.

        Raises:
            UsageError: It holds what was never promoted, and `force` was not said.
        """
        closing.close_site(self.production(), self.site, self._settings, force=force, keep_branch=keep_branch)

    def _outer(self) -> Settings:
        """Production's settings, also where this process was started in a kitchen."""
        return self._settings.model_copy(update={"home": self.site.production_home, "dir": None, "kitchen": ""})

    @staticmethod
    def tell(target: Environment) -> str:
        """Report to Dagster what was published.

        Returns:
            Why it could not be told, and the reconciler will tell it; empty when it was.
        """
        from mesh_assets.orchestration.instance import open_instance
        from mesh_assets.orchestration.sensors import reconcile

        mesh = read_mesh(target.mesh.root, tolerant=True)
        try:
            with open_instance(target.home) as instance:
                reconcile(instance, target, mesh, mesh.domains)
        except Exception as error:  # noqa: BLE001 - Dagster's storage raises what it likes, and what was published is published
            return (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ""


def revert(
    env: Environment,
    records: Records,
    name: str,
    *,
    downstream: bool = False,
    dry_run: bool = False,
    code: bool = True,
) -> Json:
    """The JSON of `mesh kitchen revert`."""
    started = time.monotonic()
    with env.lake.at_hand():
        found = reverting.revert(env, records, name, downstream=downstream, dry_run=dry_run, code=code)
    why = "a later version was built on it: --downstream takes that back, too"
    return {
        "schema_version": 1,
        "kitchen": name,
        "dry_run": dry_run,
        "reverted": []
        if found.later
        else [{"table": spelt(table), "to": version} for table, version in sorted(found.tables.items())],
        "refused": [{"reason": why, "table": spelt(table)} for table in found.later],
        "version": found.version,
        "commit": found.commit,
        "seconds": round(time.monotonic() - started, 3),
    }


def undo(
    root: Path, settings: Settings, name: str, *, downstream: bool = False, dry_run: bool = False, code: bool = True
) -> Json:
    """As `revert`, also of a kitchen that is closed; Dagster is told."""
    env = closing.production(root, settings)
    if (env.home / place.FOLDER / place.checked(name) / place.FILE).is_file():
        return Kitchen.of(name, root=env.mesh.root, settings=settings).revert(
            downstream=downstream, dry_run=dry_run, code=code
        )
    report = revert(env, Records(env.ledger), name, downstream=downstream, dry_run=dry_run, code=code)
    if report["version"]:
        Kitchen.tell(env)
    return report


def revert_table(root: Path, settings: Settings, table: str, version: int) -> Json:
    """The JSON of `mesh revert`: one table of production, back to a version of before."""
    env = closing.production(root, settings)
    (name, *more) = sorted(catalog.named(env.mesh, [table]))
    if more:
        raise UsageError(f"`{table}` is a domain\n    Name one table, as in `{spelt(name)}`.")
    env.sync()
    reverting.recorded(env, name, version)
    env.lake.check_has(version)
    new = reverting.put_back(env, {name: version}, message=f"Revert {name} to version {version}")
    Kitchen.tell(env)
    return {"schema_version": 1, "table": spelt(name), "to": version, "version": new}


def listing(root: Path, settings: Settings) -> Json:
    """The JSON of `mesh kitchen list`."""
    env = closing.production(root, settings)
    return listings.listing(env, lambda site: opening.environment(site, settings))
