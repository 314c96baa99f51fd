"""The market: what can be prescribed, what it costs, and what was dispensed."""

import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl

from tools.rawdata import Files
from tools.rawdata.world import LAUNCH, WEEKS, Physician, spread, stream

# id, brand, molecule, company, mechanism, first sold, share of the market before the launch, packs
PRODUCTS = (
    ("VEL", "Velmora", "velmogepant", "Arden Pharma", "CGRP receptor antagonist", LAUNCH, 0.00),
    ("TEN", "Tensiva", "propranolol ER", "Arden Pharma", "Beta blocker", date(2009, 5, 4), 0.09),
    ("NUR", "Nuragept", "atolgepant", "Castell Bio", "CGRP receptor antagonist", date(2020, 9, 14), 0.17),
    ("QUL", "Qulivan", "rimegept", "Orion Life", "CGRP receptor antagonist", date(2021, 11, 1), 0.12),
    ("AMG", "Amgyra", "erenumab-like", "Castell Bio", "CGRP antibody", date(2018, 6, 4), 0.10),
    ("FRE", "Frevanza", "fremanezumab-like", "Teluma", "CGRP antibody", date(2018, 10, 1), 0.07),
    ("TPX", "Topirex", "topiramate", "Generix", "Anticonvulsant", date(2012, 1, 2), 0.19),
    ("VPA", "Valproval", "divalproex", "Generix", "Anticonvulsant", date(2010, 3, 1), 0.06),
    ("AMI", "Amitrel", "amitriptyline", "Generix", "Tricyclic", date(2005, 2, 7), 0.11),
    ("VEN", "Venlafan", "venlafaxine", "Mondial", "SNRI", date(2011, 7, 4), 0.05),
    ("BTX", "Botulexa", "onabotulinum-like", "Orion Life", "Neurotoxin", date(2013, 4, 1), 0.03),
    ("CAN", "Candesta", "candesartan", "Mondial", "ARB", date(2014, 8, 4), 0.01),
)
STRENGTHS = ((10, 30), (25, 30), (50, 30), (50, 90))  # milligrams, units in a pack
LABELERS = {
    "Arden Pharma": 71_234,
    "Castell Bio": 50_090,
    "Orion Life": 12_480,
    "Teluma": 63_459,
    "Generix": 16_714,
    "Mondial": 43_547,
}
PRICE_FAULTS = {"price not positive": 4, "entered twice": 6, "pack unknown": 5}
CLAIM_FAULTS = {
    "reversal": 187,
    "more new than total": 74,
    "ndc without dashes": 64,
    "ndc placeholder": 43,
    "sent twice": 312,
}
STRANGERS, STRANGER_ROWS = 37, 241  # prescribers that no CRM knows
NEVER_SOLD = "99999-9999-99"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescribers:
    """Physicians as columns: scripts of the market in a week, weeks from the launch to their first Velmora."""

    npis: np.ndarray
    volume: np.ndarray
    adopts: np.ndarray


def exports(people: list[Physician]) -> Files:
    """The product master, the price list and one file of claims for each week."""
    packs = all_packs()
    return {
        "products/raw/catalogue.json": catalogue(packs),
        "products/raw/price_list.parquet": prices(packs),
        **{f"claims/raw/weekly/rx_{week}.parquet": rows for week, rows in claims(people, packs).items()},
    }


def all_packs() -> list[dict]:
    """Every pack with its National Drug Code and its price today."""
    rng = stream("packs")
    packs = []
    for number, (product, _, _, company, mechanism, *_) in enumerate(PRODUCTS):
        dear = {"CGRP antibody": 640.0, "Neurotoxin": 1_150.0, "CGRP receptor antagonist": 31.5}.get(mechanism, 0.9)
        for row, (strength, units) in enumerate(STRENGTHS[: 1 if dear > 100 else 4 - number % 2]):
            ndc = f"{LABELERS[company]}-{1_100 + 37 * number:04d}-{10 * row + 1:02d}"
            price = dear if dear > 100 else dear * units * (1 + row * 0.06)
            packs.append({"product": product, "ndc": ndc, "strength": strength, "units": 1 if dear > 100 else units})
            packs[-1]["price"] = round(price * rng.uniform(0.9, 1.1), 2)
    return packs


def catalogue(packs: list[dict]) -> pl.DataFrame:
    """One object for each product, its packs inside, as the product master exports them."""
    return pl.DataFrame(
        [
            {
                "product_id": product,
                "brand": brand,
                "molecule": molecule,
                "company": company,
                "mechanism": mechanism,
                "first_sold_on": first.isoformat(),
                "packs": [
                    {"ndc": pack["ndc"], "strength_mg": pack["strength"], "units": pack["units"]}
                    for pack in packs
                    if pack["product"] == product
                ],
            }
            for product, brand, molecule, company, mechanism, first, _ in PRODUCTS
        ]
    )


def prices(packs: list[dict]) -> pl.DataFrame:
    """Every price change since 2021, as entered: a list price holds until the next one."""
    rng, rows = stream("prices"), []
    for pack in packs:
        starts = LAUNCH if pack["product"] == "VEL" else date(2021, 1, 1)
        price = pack["price"] * (1 if starts == LAUNCH else 0.78)
        for year in range(2021, 2026):
            for day in (date(year, 1, 1), date(year, 7, 1)) if starts != LAUNCH else ():
                if day == date(2021, 1, 1) or rng.random() < 0.8:
                    rows.append({"ndc": pack["ndc"], "valid_from": day, "price_usd": round(price, 2)})
                    price *= rng.uniform(1.0, 1.055)
        if starts == LAUNCH:
            rows.append({"ndc": pack["ndc"], "valid_from": LAUNCH, "price_usd": round(price, 2)})
    later = [n for n, row in enumerate(rows) if row["valid_from"] not in (date(2021, 1, 1), LAUNCH)]
    at = spread(rng, len(later), PRICE_FAULTS)
    twice = [dict(rows[later[n]]) for n in at["entered twice"]]
    unknown = [{**rows[later[n]], "ndc": f"00000-{1000 + n:04d}-01"} for n in at["pack unknown"]]
    for n in at["price not positive"]:
        rows[later[n]]["price_usd"] = (0.0, -rows[later[n]]["price_usd"])[n % 2]
    frame = pl.DataFrame(rows + twice + unknown).with_columns(entered_by=pl.lit("pricing-desk"))
    return frame.with_row_index("change_id", offset=1).with_columns(pl.col("change_id").cast(pl.Int32))


def claims(people: list[Physician], packs: list[dict]) -> dict[date, pl.DataFrame]:
    """Dispensed prescriptions of each week, by prescriber, pack, channel and payer."""
    rng = stream("claims")
    prescribers = Prescribers(
        npis=np.array([person.npi for person in people]),
        volume=np.array([person.volume for person in people]),
        adopts=adoption(rng, people),
    )
    frames = [one_week(rng, week, prescribers, packs) for week in WEEKS]
    return dirty(stream("claims dirt"), pl.concat(frames))


def adoption(rng: np.random.Generator, people: list[Physician]) -> np.ndarray:
    """Weeks after the launch when each physician first thinks of Velmora; specialists are early."""
    early = {"Headache Medicine": 5, "Neurology": 10, "Pain Medicine": 22}
    return np.array([rng.exponential(early.get(person.specialty, 45)) for person in people])


def one_week(rng: np.random.Generator, week: date, prescribers: Prescribers, packs: list[dict]) -> pl.DataFrame:
    """One delivery: a line for each combination that was dispensed at all."""
    volume, npis = prescribers.volume, prescribers.npis
    age = (week - LAUNCH).days / 7
    shares = np.array([share for *_, share in PRODUCTS])
    who = np.repeat(np.arange(len(npis)), np.minimum(rng.poisson(volume * 0.65), 9))
    what = rng.choice(len(PRODUCTS), len(who), p=shares / shares.sum())
    what[(age - prescribers.adopts[who] > 0) & (rng.random(len(who)) < 0.22)] = 0  # product 0 is the new one
    by_product = [[n for n, pack in enumerate(packs) if pack["product"] == product] for product, *_ in PRODUCTS]
    ndcs = np.array([pack["ndc"] for pack in packs])
    pack = np.array([by_product[n][min(int(rng.exponential(1.1)), len(by_product[n]) - 1)] for n in what])
    trx = 1 + rng.poisson(0.45 + np.minimum(volume[who], 30) / 14)
    frame = pl.DataFrame(
        {
            "week_ending": [week] * len(who),
            "npi": npis[who],
            "ndc": ndcs[pack],
            "channel": np.array(["RETAIL", "MAIL", "SPECIALTY"])[rng.choice(3, len(who), p=[0.8, 0.13, 0.07])],
            "payer": np.array(["COMMERCIAL", "MEDICARE", "MEDICAID", "CASH"])[
                rng.choice(4, len(who), p=[0.58, 0.22, 0.14, 0.06])
            ],
            "trx": trx,
            "nrx": rng.binomial(trx, 0.85 if 0 <= age < 4 else 0.36),
        }
    )
    keys = ["week_ending", "npi", "ndc", "channel", "payer"]
    return frame.group_by(keys).agg(pl.sum("trx"), pl.sum("nrx")).sort(keys)


def dirty(rng: np.random.Generator, clean: pl.DataFrame) -> dict[date, pl.DataFrame]:
    """The same rows with the vendor's known faults, back in weekly files."""
    at = spread(rng, len(clean), {**CLAIM_FAULTS, "prescriber unknown": STRANGER_ROWS})
    trx, nrx = clean["trx"].to_numpy().copy(), clean["nrx"].to_numpy().copy()
    ndc, npi = clean["ndc"].to_list(), clean["npi"].to_list()
    trx[at["reversal"]] *= -1
    nrx[at["reversal"]] = 0
    nrx[at["more new than total"]] = trx[at["more new than total"]] + 1
    for n in at["ndc without dashes"]:
        ndc[n] = ndc[n].replace("-", "")
    for n in at["ndc placeholder"]:
        ndc[n] = NEVER_SOLD
    for n in at["prescriber unknown"]:
        npi[n] = f"29{n % STRANGERS:02d}000017"  # no physician has an identifier that begins with 2
    frame = clean.with_columns(
        pl.Series("ndc", ndc), pl.Series("npi", npi), pl.Series("trx", trx, pl.Int32), pl.Series("nrx", nrx, pl.Int32)
    )
    frame = pl.concat([frame, frame[at["sent twice"].tolist()]])
    line = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("claim_line")
    frame = frame.sort("week_ending", maintain_order=True).select(line, pl.all())
    return {week: frame.filter(pl.col("week_ending") == week) for week in WEEKS}


def as_json(frame: pl.DataFrame) -> str:
    """A JSON array, one object a line."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in frame.to_dicts()) + "\n]\n"
