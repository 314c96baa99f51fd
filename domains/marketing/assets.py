"""Reach of campaigns: the mailing tool's log and the agency's report, matched to physicians and cleaned."""

import pandas as pd

import mesh_assets


@mesh_assets.table(
    inputs=["email_events", "campaigns", "customers.physicians"],
    columns={"customers.physicians": ["physician_id", "email", "specialty"]},
)
def mail_touches(email_events: pd.DataFrame, campaigns: pd.DataFrame, physicians: pd.DataFrame) -> pd.DataFrame:
    """One row for each event of a real campaign with a physician whom we know by that address."""
    known = physicians.loc[physicians["email"].notna(), ["physician_id", "email", "specialty"]]
    known = known.drop_duplicates("email", keep=False)  # an address of two physicians is nobody's
    events = email_events.drop_duplicates("event_id").assign(
        email=lambda frame: frame["email"].str.lower(),
        event=lambda frame: frame["event"].replace({"open": "opened"}),
    )
    touches = events.merge(campaigns[["campaign_id"]], on="campaign_id").merge(known, on="email")
    columns = ["event_id", "campaign_id", "physician_id", "specialty", "event", "occurred_at"]
    return touches[columns].sort_values("event_id", ignore_index=True)


@mesh_assets.table(inputs=["mail_touches", "campaigns"])
def campaign_reach(mail_touches: pd.DataFrame, campaigns: pd.DataFrame) -> pd.DataFrame:
    """How many physicians of each specialty a campaign reached, and how many of them cared."""
    people = mail_touches.dropna(subset=["specialty"]).pivot_table(
        index=["campaign_id", "specialty"], columns="event", values="physician_id", aggfunc="nunique", fill_value=0
    )
    reach = people.reindex(columns=["delivered", "opened", "clicked"], fill_value=0).reset_index()
    reach = reach.rename(columns={"delivered": "physicians_reached", "opened": "opened_by", "clicked": "clicked_by"})
    reach["open_rate"] = (reach["opened_by"] / reach["physicians_reached"]).where(reach["physicians_reached"] > 0)
    reach = campaigns[["campaign_id", "campaign"]].merge(reach, on="campaign_id")
    return reach.sort_values(["campaign_id", "specialty"], ignore_index=True)


@mesh_assets.table(
    inputs=["mail_touches", "customers.physicians"], columns={"customers.physicians": ["physician_id", "opted_out"]}
)
def physician_engagement(mail_touches: pd.DataFrame, physicians: pd.DataFrame) -> pd.DataFrame:
    """How every physician answers to mail; those who never got any are in it with zeros."""
    counts = mail_touches.pivot_table(
        index="physician_id", columns="event", values="event_id", aggfunc="count", fill_value=0
    ).reindex(columns=["delivered", "opened", "clicked", "unsubscribed"], fill_value=0)
    last = mail_touches.groupby("physician_id")["occurred_at"].max().dt.date.rename("last_touch_on")
    everyone = physicians[["physician_id", "opted_out"]].set_index("physician_id").join(counts).join(last)
    columns = ["delivered", "opened", "clicked", "unsubscribed"]
    everyone[columns] = everyone[columns].fillna(0).astype("int64")
    everyone["may_be_mailed"] = ~everyone["opted_out"].astype(bool) & (everyone["unsubscribed"] == 0)
    everyone["engagement"] = everyone["opened"] + 3 * everyone["clicked"]
    return everyone.drop(columns="opted_out").reset_index().sort_values("physician_id", ignore_index=True)


@mesh_assets.table(inputs=["media_spend", "campaigns"])
def consumer_spend(media_spend: pd.DataFrame, campaigns: pd.DataFrame) -> pd.DataFrame:
    """What was spent on patients by week, state and channel; the agency's corrections are left out until they are final."""
    final = media_spend[(media_spend["spend_usd"] >= 0) & (media_spend["state"] != "XX")]
    spend = final.merge(campaigns[["campaign_id", "channel"]], on="campaign_id")
    keys = ["week_ending", "state", "channel"]
    return spend.groupby(keys, as_index=False)[["spend_usd", "impressions"]].sum(min_count=1)
