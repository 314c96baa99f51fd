"""Physicians, mastered from two CRM exports: normalise, match, and let the best value of each column survive."""

import dagster as dg
import polars as pl

# Nobody edited a record in the year 2052. Such a date is unknown, and what is unknown is old.
PLAUSIBLE = pl.datetime(2030, 1, 1)
STATES = {"Mass.": "MA", "New York": "NY", "Florida": "FL", "Penna": "PA", "N.J.": "NJ", "Georgia": "GA"}


@dg.asset
def crm_contacts(crm_east: pl.DataFrame, crm_west: pl.DataFrame, specialty_codes: pl.DataFrame) -> pl.DataFrame:
    """Contacts of both systems in one shape; what cannot be right (an e-mail without @) is null."""
    east = crm_east.select(
        pl.lit("EAST").alias("source_system"),
        pl.col("contact_id").alias("source_id"),
        valid_npi(pl.col("npi")).alias("npi"),
        tidy(pl.col("first_name")).alias("first_name"),
        tidy(pl.col("last_name")).alias("last_name"),
        pl.col("specialty"),
        valid_email(pl.col("email")).alias("email"),
        digits(pl.col("phone")).alias("phone"),
        pl.col("city"),
        pl.col("state").replace(STATES).str.to_uppercase(),
        valid_zip(pl.col("zip")).alias("zip"),
        pl.when(pl.col("updated_at") < PLAUSIBLE).then(pl.col("updated_at").dt.date()).alias("changed_on"),
        pl.col("do_not_email").alias("opted_out"),
    )
    name = pl.col("full_name").str.split(", ")
    day = pl.col("last_modified")
    west = crm_west.join(specialty_codes, on="specialty_code", how="left", maintain_order="left").select(
        pl.lit("WEST").alias("source_system"),
        pl.col("record_id").alias("source_id"),
        valid_npi(pl.col("npi_number")).alias("npi"),
        tidy(name.list.get(1).str.replace(" MD$", "")).alias("first_name"),
        tidy(name.list.get(0)).alias("last_name"),
        pl.col("specialty"),
        valid_email(pl.col("email_address")).alias("email"),
        digits(pl.col("tel")).alias("phone"),
        pl.col("city").str.to_titlecase(),
        pl.col("st").alias("state"),
        valid_zip(pl.col("postal_code")).alias("zip"),
        pl.coalesce(day.str.to_date("%m/%d/%Y", strict=False), day.str.to_date("%d.%m.%Y", strict=False)).alias(
            "changed_on"
        ),
        (pl.col("opt_out") == "Y").fill_null(value=False).alias("opted_out"),
    )
    return pl.concat([east, west]).sort("source_system", "source_id")


@dg.asset
def physician_crosswalk(crm_contacts: pl.DataFrame) -> pl.DataFrame:
    """Which CRM record is which physician, and by what it was matched.

    A record with a valid NPI is that physician. One without takes the NPI of the records with its e-mail, else of those
    with its name and ZIP code, but only where these agree on one NPI. What is left is matched among itself.
    """
    contacts = crm_contacts.with_columns(
        pl.concat_str(
            pl.col("last_name").str.to_lowercase(), pl.col("first_name").str.to_lowercase(), "zip", separator="|"
        ).alias("name_zip")
    )
    for column in ("email", "name_zip"):
        contacts = contacts.join(npi_of(contacts, column), on=column, how="left", maintain_order="left")
    alone = pl.coalesce("email", "name_zip", "source_id")
    npi = pl.coalesce("npi", "npi_by_email", "npi_by_name_zip")
    return contacts.select(
        "source_system",
        "source_id",
        pl.coalesce("P" + npi, "X-" + pl.col("source_id").min().over(alone)).alias("physician_id"),
        pl.when(pl.col("npi").is_not_null())
        .then(pl.lit("npi"))
        .when(pl.col("npi_by_email").is_not_null())
        .then(pl.lit("email"))
        .when(pl.col("npi_by_name_zip").is_not_null())
        .then(pl.lit("name_zip"))
        .otherwise(pl.lit("none"))
        .alias("matched_by"),
    ).sort("source_system", "source_id")


@dg.asset
def physicians(crm_contacts: pl.DataFrame, physician_crosswalk: pl.DataFrame) -> pl.DataFrame:
    """One row for each physician; of each column the latest value that is not null survives.

    Opting out is not a matter of who wrote last: one record that says no is a no.
    """
    newest = crm_contacts.join(physician_crosswalk, on=["source_system", "source_id"]).sort(
        "changed_on", "source_system", "source_id", descending=[True, False, False], nulls_last=True
    )
    survives = ("npi", "first_name", "last_name", "specialty", "email", "phone", "city", "state", "zip")
    return (
        newest.group_by("physician_id", maintain_order=True)
        .agg(
            *(pl.col(column).drop_nulls().first() for column in survives),
            pl.col("opted_out").any(),
            pl.len().alias("records"),
            pl.col("changed_on").max().alias("last_changed_on"),
        )
        .sort("physician_id")
    )


def npi_of(contacts: pl.DataFrame, column: str) -> pl.DataFrame:
    """The NPI that all records with the same value in `column` agree on; values on which they differ are left out."""
    known = contacts.drop_nulls(["npi", column]).group_by(column)
    agreed = known.agg(pl.col("npi").first().alias(f"npi_by_{column}"), pl.col("npi").n_unique().alias("npis"))
    return agreed.filter(pl.col("npis") == 1).drop("npis")


def valid_npi(text: pl.Expr) -> pl.Expr:
    """Ten digits whose Luhn sum, with the prefix 80840 of the United States, is a multiple of ten; else null."""
    npi = digits(text)
    digit = [npi.str.slice(place, 1).cast(pl.Int64, strict=False) for place in range(10)]
    doubled = [(2 * d) // 10 + (2 * d) % 10 for d in digit[::2]]
    luhn = pl.sum_horizontal(*doubled, *digit[1::2]) + 24
    return pl.when(npi.str.contains("^1[0-9]{9}$") & (luhn % 10 == 0)).then(npi)


def valid_email(text: pl.Expr) -> pl.Expr:
    """Lower case; null when it is no address."""
    email = text.str.strip_chars().str.to_lowercase()
    return pl.when(email.str.contains(r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$")).then(email)


def valid_zip(text: pl.Expr) -> pl.Expr:
    """The first five digits of a ZIP or ZIP+4 code, else null."""
    return text.str.extract(r"^([0-9]{5})(?:-[0-9]{4})?$")


def digits(text: pl.Expr) -> pl.Expr:
    """What is left without punctuation."""
    return text.str.replace_all("[^0-9]", "")


def tidy(name: pl.Expr) -> pl.Expr:
    """Without blanks around it, and not shouted."""
    name = name.str.strip_chars()
    return pl.when(name.str.contains("^[A-Z' -]{2,}$")).then(name.str.to_titlecase()).otherwise(name)
