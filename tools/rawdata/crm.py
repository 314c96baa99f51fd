"""Two CRM systems, from before the merger: different columns, different habits, some of the same people."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl

from tools.rawdata import Files
from tools.rawdata.world import SPECIALTIES, Physician, spread, stream

EAST_FAULTS = {
    "npi missing": 96,
    "npi malformed": 31,
    "email malformed": 58,
    "email missing": 210,
    "state spelt out": 22,
    "changed in the future": 7,
}
WEST_FAULTS = {
    "npi missing": 74,
    "npi check digit": 19,
    "email missing": 168,
    "email malformed": 41,
    "specialty code unknown": 17,
    "date with dots": 12,
    "zip cut short": 9,
}
EAST_AGAIN, WEST_AGAIN, BOTH = 145, 120, 640  # entered twice in one system; known to both
EXPORTED = datetime(2025, 8, 25, 4, 30)  # noqa: DTZ001 - local time of the CRM, as its export has it
STATES = {"MA": "Mass.", "NY": "New York", "FL": "Florida", "PA": "Penna", "NJ": "N.J.", "GA": "Georgia"}


def exports(people: list[Physician]) -> Files:
    """The nightly export of each CRM, and the western system's list of specialty codes."""
    rng = stream("crm")
    both = set(rng.choice(len(people), BOTH, replace=False).tolist())
    sides = {
        side: [
            person
            for number, person in enumerate(people)
            if number in both or (person.region in ("Northeast", "Southeast")) == (side == "east")
        ]
        for side in ("east", "west")
    }
    codes = pl.DataFrame(
        {"specialty_code": [code for code, *_ in SPECIALTIES.values()], "specialty": list(SPECIALTIES)}
    )
    return {
        "customers/raw/crm_east/contacts_20250825.csv": east(sides["east"]),
        "customers/raw/crm_west/export_0825.csv": west(sides["west"]),
        "customers/raw/specialty_codes.csv": codes,
    }


def areas(files: Files) -> pl.DataFrame:
    """`contact_id` and `zip3` of the records of both systems."""
    columns = {"contact_id": "zip", "record_id": "postal_code"}
    return pl.concat(
        frame.select(pl.col(key).alias("contact_id"), pl.col(code).str.slice(0, 3).alias("zip3"))
        for frame in files.values()
        for key, code in columns.items()
        if key in frame.columns
    )


def east(people: list[Physician]) -> pl.DataFrame:
    """Typed by sales assistants: neat columns, careless content."""
    rng = stream("crm east")
    rows = [
        {
            "npi": person.npi,
            "first_name": shouted(rng, person.first),
            "last_name": shouted(rng, person.last),
            "credentials": ("MD", "DO", "M.D.", None)[rng.choice(4, p=[0.7, 0.12, 0.1, 0.08])],
            "email": person.email if rng.random() < 0.8 else person.email.upper(),
            "phone": person.phone,
            "specialty": person.specialty,
            "street": person.street,
            "city": person.city,
            "state": person.state,
            "zip": person.zip,
            "updated_at": changed(rng),
            "do_not_email": person.opted_out,
        }
        for person in people
    ]
    at = spread(rng, len(rows), EAST_FAULTS)
    clean = np.setdiff1d(np.arange(len(rows)), np.concatenate(list(at.values())))
    again = [
        {**rows[n], "phone": None, "updated_at": changed(rng), "first_name": f" {rows[n]['first_name']}"}
        for n in np.sort(rng.choice(clean, EAST_AGAIN, replace=False))
    ]
    for n in at["npi missing"]:
        rows[n]["npi"] = None
    for n in at["npi malformed"]:
        rows[n]["npi"] = (rows[n]["npi"][:-1], "PENDING", f"{rows[n]['npi']}0")[n % 3]
    for n in at["email malformed"]:
        rows[n]["email"] = (rows[n]["email"].replace("@", " at "), "none", rows[n]["email"].split("@")[0])[n % 3]
    for n in at["email missing"]:
        rows[n]["email"] = None
    for n in at["state spelt out"]:
        rows[n]["state"] = STATES.get(rows[n]["state"], rows[n]["state"].lower())
    for n in at["changed in the future"]:
        rows[n]["updated_at"] = rows[n]["updated_at"].replace(year=2052)
    return numbered(rows + again, "contact_id", "E-{:06d}", stream("crm east order"), start=100_001)


def west(people: list[Physician]) -> pl.DataFrame:
    """Typed once at sign-up, into too few columns."""
    rng = stream("crm west")
    rows = [
        {
            "npi_number": person.npi if rng.random() < 0.55 else f"{person.npi[:4]}-{person.npi[4:7]}-{person.npi[7:]}",
            "full_name": f"{person.last}, {person.first}" + ("", " MD", ", DO")[rng.choice(3, p=[0.5, 0.4, 0.1])],
            "email_address": person.email,
            "tel": "".join(filter(str.isdigit, person.phone)),
            "specialty_code": SPECIALTIES[person.specialty][0],
            "city": person.city.upper(),
            "st": person.state,
            "postal_code": person.zip if rng.random() < 0.7 else f"{person.zip}-{rng.integers(1000, 9999)}",
            "last_modified": changed(rng).strftime("%m/%d/%Y"),
            "opt_out": "Y" if person.opted_out else ("N", "")[rng.choice(2, p=[0.7, 0.3])],
        }
        for person in people
    ]
    at = spread(rng, len(rows), WEST_FAULTS)
    clean = np.setdiff1d(np.arange(len(rows)), np.concatenate(list(at.values())))
    again = [
        {**rows[n], "npi_number": None, "last_modified": changed(rng).strftime("%m/%d/%Y")}
        for n in np.sort(rng.choice(clean, WEST_AGAIN, replace=False))
    ]
    for row in again[::2]:
        row["email_address"] = None  # to be found by name and ZIP code
    for n in at["npi missing"]:
        rows[n]["npi_number"] = None
    for n in at["npi check digit"]:
        npi = rows[n]["npi_number"]
        rows[n]["npi_number"] = npi[:-1] + str((int(npi[-1]) + 3) % 10)
    for n in at["email missing"]:
        rows[n]["email_address"] = None
    for n in at["email malformed"]:
        rows[n]["email_address"] = rows[n]["email_address"].replace(".example", "")
    for n in at["specialty code unknown"]:
        rows[n]["specialty_code"] = ("ZZ", "??", "GEN")[n % 3]
    for n in at["date with dots"]:
        month, day, year = rows[n]["last_modified"].split("/")
        rows[n]["last_modified"] = f"{day}.{month}.{year}"
    for n in at["zip cut short"]:
        rows[n]["postal_code"] = rows[n]["postal_code"][:3]
    return numbered(rows + again, "record_id", "W{:06d}", stream("crm west order"), start=2_001)


def shouted(rng: np.random.Generator, name: str) -> str:
    """A name as people type it."""
    return (name, name.upper(), f"{name} ")[rng.choice(3, p=[0.86, 0.1, 0.04])]


def changed(rng: np.random.Generator) -> datetime:
    """When a record was last touched: mostly in the last two years."""
    return EXPORTED - timedelta(minutes=int(rng.exponential(400_000)) % 3_000_000)


def numbered(rows: list[dict], column: str, form: str, rng: np.random.Generator, *, start: int) -> pl.DataFrame:
    """Rows in the order in which they were entered, which is nobody's order."""
    ids = [form.format(start + 3 * n) for n in range(len(rows))]
    shuffled = [rows[n] for n in rng.permutation(len(rows))]
    return pl.DataFrame(shuffled, infer_schema_length=None).insert_column(0, pl.Series(column, ids))
