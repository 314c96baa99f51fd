"""The field: who calls on whom, and what is sent to physicians and shown to patients."""

from datetime import date, datetime, timedelta

import numpy as np
import polars as pl

from tools.rawdata import Files
from tools.rawdata.world import FIRST, LAST, LAUNCH, WEEKS, Physician, spread, stream, territories

CALLS, REPS_PER_TERRITORY = 26_000, 3
LEFT_ON, LEAVERS = date(2025, 6, 30), frozenset({(3, 1), (11, 2), (17, 0)})  # (territory, representative)
CALL_FAULTS = {
    "contact unknown": 52,
    "product misspelt": 33,
    "duration impossible": 27,
    "dated after the export": 14,
    "product missing": 40,
    "synced twice": 45,
}
MAILS = 15_500
MAIL_FAULTS = {"campaign unknown": 66, "test address": 95, "logged twice": 120, "event misspelt": 23}
SPEND_FAULTS = {"negative": 9, "impressions missing": 15, "state unknown": 6}
CHANNELS = {"tv": 31_000.0, "streaming": 14_000.0, "search": 6_500.0, "social": 5_200.0, "print": 3_800.0}


def exports(people: list[Physician], contacts: pl.DataFrame) -> Files:
    """Exports of the call reporting tool, of the mailing tool and of the media agency.

    Args:
        people: Everyone who prescribes.
        contacts: `contact_id` and `zip3` of every CRM record; representatives know no other ids.
    """
    reps, calls = field_force(contacts)
    campaigns = all_campaigns()
    files = {
        "sales/raw/territories.csv": territory_map(),
        "sales/raw/reps.csv": reps,
        "marketing/raw/campaigns.csv": campaigns,
        "marketing/raw/media_spend.csv": media_spend(campaigns),
    }
    for month, rows in by_month(calls, "call_date"):
        files[f"sales/raw/rep_calls/calls_{month}.csv"] = rows
    for month, rows in by_month(mail_events(people, campaigns), "occurred_at"):
        files[f"marketing/raw/email_events/events_{month}.parquet"] = rows
    return files


def by_month(frame: pl.DataFrame, column: str) -> list[tuple[str, pl.DataFrame]]:
    """Monthly files; what is dated after the export went into the last one."""
    month = pl.min_horizontal(pl.col(column).dt.strftime("%Y-%m"), pl.lit("2025-08"))
    return [(key[0], rows) for key, rows in frame.group_by(month.alias("month"), maintain_order=True)]


def territory_map() -> pl.DataFrame:
    """Which three-digit ZIP area belongs to which territory."""
    return pl.DataFrame(
        [
            {
                "zip3": prefix,
                "territory_id": number,
                "territory": name,
                "region": region,
                "main_city": city,
                "state": state,
            }
            for number, name, region, cities in territories()
            for city, state, prefix in cities
        ]
    ).sort("zip3")


def field_force(contacts: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Representatives and their calls in their territories; everyone's favourites are called more often."""
    rng = stream("field")
    reps = pl.DataFrame(
        [
            {
                "rep_id": f"R{100 + REPS_PER_TERRITORY * n + k}",
                "rep_name": f"{FIRST[rng.integers(len(FIRST))]} {LAST[rng.integers(len(LAST))]}",
                "territory_id": number,
                "hired_on": date(2019, 1, 7) + timedelta(days=int(rng.integers(0, 2_200))),
                "left_on": LEFT_ON if (n, k) in LEAVERS else None,
            }
            for n, (number, *_) in enumerate(territories())
            for k in range(REPS_PER_TERRITORY)
        ],
        infer_schema_length=None,
    )
    days = [day for n in range(236) if (day := date(2025, 1, 2) + timedelta(days=n)).weekday() < 5 and day <= WEEKS[-1]]
    weight = np.array([1.0 if day < LAUNCH else 1.8 for day in days])
    likes = rng.pareto(2.2, len(contacts)) + 0.2
    n = rng.choice(len(days), CALLS, p=weight / weight.sum())
    who = rng.choice(len(contacts), CALLS, p=likes / likes.sum())
    area = {prefix: n for n, (*_, cities) in enumerate(territories()) for *_, prefix in cities}
    where = np.array([area[prefix] for prefix in contacts["zip3"]])[who]
    turn = rng.integers(0, REPS_PER_TERRITORY, CALLS)
    gone = np.array([days[k] > LEFT_ON and (t, r) in LEAVERS for k, t, r in zip(n, where, turn, strict=True)])
    rep = where * REPS_PER_TERRITORY + (turn + gone) % REPS_PER_TERRITORY
    rows = pl.DataFrame(
        {
            "rep_id": reps["rep_id"].to_numpy()[rep],
            "contact_id": contacts["contact_id"].to_numpy()[who],
            "call_date": pl.Series([days[k] for k in n]),
            "channel": np.array(["F2F", "REMOTE", "PHONE"])[rng.choice(3, CALLS, p=[0.7, 0.18, 0.12])],
            "product": np.where([days[k] >= LAUNCH for k in n], "Velmora", "Tensiva"),
            "duration_minutes": rng.integers(4, 46, CALLS),
            "samples_left": rng.choice([0, 0, 0, 5, 10, 20], CALLS),
        }
    ).sort("call_date", maintain_order=True)
    rows = rows.select(pl.Series("call_id", [f"C{number:06d}" for number in range(1, CALLS + 1)]), pl.all())
    return reps, dirty_calls(stream("calls dirt"), rows)


def dirty_calls(rng: np.random.Generator, clean: pl.DataFrame) -> pl.DataFrame:
    """The same calls with the faults of tablets, thumbs and trains."""
    at = spread(rng, len(clean), CALL_FAULTS)
    rows = clean.to_dicts()
    for n in at["contact unknown"]:
        rows[n]["contact_id"] = f"E-9{n % 100_000:05d}"
    for n in at["product misspelt"]:
        rows[n]["product"] = ("Velmorra", "VELMORA?", "Tensva")[n % 3]
    for n in at["product missing"]:
        rows[n]["product"] = None
    for n in at["duration impossible"]:
        rows[n]["duration_minutes"] = (-10, 0, 1_440)[n % 3]
    for n in at["dated after the export"]:
        rows[n]["call_date"] = rows[n]["call_date"].replace(year=2026)
    rows += [dict(rows[n]) for n in at["synced twice"]]
    return pl.DataFrame(rows, schema=clean.schema).sort("call_date", maintain_order=True)


def all_campaigns() -> pl.DataFrame:
    """Campaigns for physicians (e-mail) and for patients (media)."""
    mails = (
        "Save the date",
        "Now approved",
        "Starter kit",
        "Dosing guide",
        "Patient stories",
        "Congress recap",
        "Formulary news",
        "Real-world data",
    )
    rows = [
        {
            "campaign_id": f"HCP-{n:02d}",
            "campaign": f"Velmora {name}" + (" (primary care)" if n % 2 else " (specialists)"),
            "audience": "HCP",
            "channel": "email",
            "starts_on": date(2025, 2, 3) + timedelta(days=12 * n),
            "ends_on": date(2025, 2, 3) + timedelta(days=12 * n + 20),
            "budget_usd": 8_000.0 + 500 * n,
        }
        for n, name in enumerate((name for name in mails for _ in range(2)), start=1)
    ]
    rows += [
        {
            "campaign_id": f"DTC-{channel.upper()}",
            "campaign": f"Days without migraine: {channel}",
            "audience": "CONSUMER",
            "channel": channel,
            "starts_on": LAUNCH + timedelta(days=17),
            "ends_on": date(2025, 8, 31),
            "budget_usd": 20 * 46 * cost / 10,
        }
        for channel, cost in CHANNELS.items()
    ]
    return pl.DataFrame(rows)


def mail_events(people: list[Physician], campaigns: pl.DataFrame) -> pl.DataFrame:
    """Sent, delivered, opened, clicked, unsubscribed: one row each."""
    rng, rows = stream("mail"), []
    hcp = campaigns.filter(pl.col("audience") == "HCP").to_dicts()
    willing = [person for person in people if not person.opted_out]
    for _ in range(MAILS):
        campaign, person = hcp[rng.integers(len(hcp))], willing[rng.integers(len(willing))]
        sent = datetime.combine(campaign["starts_on"], datetime.min.time()) + timedelta(
            minutes=int(rng.integers(480, 29_000))
        )
        keen = 0.45 if person.specialty in ("Neurology", "Headache Medicine") else 0.25
        steps = ["sent"]
        if rng.random() < 0.97:
            steps.append("delivered")
            if rng.random() < keen:
                steps.append("opened")
                if rng.random() < 0.3:
                    steps.append("clicked")
            elif rng.random() < 0.006:
                steps.append("unsubscribed")
        email = person.email if rng.random() < 0.9 else person.email.upper()
        for step in steps:
            rows.append({"campaign_id": campaign["campaign_id"], "email": email, "event": step, "occurred_at": sent})
            sent += timedelta(seconds=int(rng.exponential(4_000)) + 2)
    frame = pl.DataFrame(rows).sort("occurred_at", maintain_order=True)
    frame = frame.select(pl.Series("event_id", [f"M{n:07d}" for n in range(1, len(frame) + 1)]), pl.all())
    return dirty_mail(stream("mail dirt"), frame)


def dirty_mail(rng: np.random.Generator, clean: pl.DataFrame) -> pl.DataFrame:
    """The same events with the faults of the mailing tool."""
    at = spread(rng, len(clean), MAIL_FAULTS)
    rows = clean.to_dicts()
    for n in at["campaign unknown"]:
        rows[n]["campaign_id"] = "HCP-TEST"
    for n in at["test address"]:
        rows[n]["email"] = f"qa+{n}@mailtool.test"
    for n in at["event misspelt"]:
        rows[n]["event"] = "open"
    rows += [dict(rows[n]) for n in at["logged twice"]]
    return pl.DataFrame(rows, schema=clean.schema).sort("occurred_at", maintain_order=True)


def media_spend(campaigns: pl.DataFrame) -> pl.DataFrame:
    """What the agency spent on patients, by week, state and channel."""
    rng = stream("media")
    consumer = campaigns.filter(pl.col("audience") == "CONSUMER").to_dicts()
    states = sorted({state for _, _, _, cities in territories() for _, state, _ in cities})
    rows = []
    for week in WEEKS:
        for campaign in consumer:
            for state in states:
                if week <= campaign["starts_on"]:
                    continue
                spend = CHANNELS[campaign["channel"]] / 10 * rng.lognormal(0, 0.5)
                rows.append({"week_ending": week, "campaign_id": campaign["campaign_id"], "state": state})
                rows[-1] |= {"spend_usd": round(spend, 2), "impressions": int(spend * rng.uniform(60, 140))}
    at = spread(rng, len(rows), SPEND_FAULTS)
    for n in at["negative"]:
        rows[n]["spend_usd"] *= -1
    for n in at["impressions missing"]:
        rows[n]["impressions"] = None
    for n in at["state unknown"]:
        rows[n]["state"] = "XX"
    return pl.DataFrame(rows, infer_schema_length=None)
