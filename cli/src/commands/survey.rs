//! `tidegate survey`

use std::path::PathBuf;

use indicatif::ProgressBar;
use tidegate_catalog::dataset::{Bound, Bounded, Survey};
use tidegate_node::{
    home::Home,
    owner::{
        publish::find,
        survey::{survey, survey_files},
    },
};

use crate::{
    file,
    numbers::{count, factor, percent_down, percent_up},
    show,
};

/// Options of `tidegate survey`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A dataset published here, by name or manifest id; with --policy, files before they are published: if the policy has
    /// tables, TABLE=FILE for each.
    #[arg(required = true)]
    what: Vec<PathBuf>,
    /// The policy, TOML.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let bar = ProgressBar::new_spinner();
    let shown_on = bar.clone();
    let counting = Box::new(move |rows| shown_on.set_message(format!("counting: {}", count(rows, "row", "rows"))));
    let (surveys, notes) = match (&args.policy, args.what.as_slice()) {
        (Some(policy), files) => survey_files(home, &file::policy(policy)?, files, counting).await?,
        (None, [name]) => (survey(&find(home, &name.to_string_lossy())?, counting).await?, vec![]),
        _ => anyhow::bail!("--policy: give a policy for files that are not published"),
    };
    bar.finish_and_clear();
    if args.json {
        notes.iter().for_each(|note| eprintln!("read {}", show::plain(note)));
        println!("{}", serde_json::to_string(&surveys)?);
    } else {
        notes.iter().for_each(|note| println!("read {}", show::plain(note)));
        shown(&surveys);
    }
    Ok(())
}

/// Prints what the policy's bounds let count.
pub(crate) fn shown(surveys: &[Survey]) {
    println!("how many rows of each privacy unit count. These numbers are exact: do not publish them");
    for survey in surveys {
        let of = survey.table.as_ref().map(|table| format!("{}: ", show::plain(table))).unwrap_or_default();
        println!("  {of}{} of {}", count(survey.rows, "row", "rows"), count(survey.units, "unit", "units"));
        if survey.without_unit > 0 {
            let without =
                count(survey.without_unit, "more row has no privacy unit and counts", "more rows have no privacy unit and count");
            println!("  {of}{without} for nobody");
        }
        let bound = &survey.max_rows;
        println!("  unit.max_rows = {}: {}", bound.allows, of_bound(bound, survey, "rows"));
        others("unit.max_rows", bound);
        for grouped in &survey.max_groups {
            let bound = &grouped.bound;
            if bound.units_over > 0 {
                let column = show::plain(&grouped.column);
                println!(
                    "  unit.max_groups = {}, grouped by {column} ({}): {}",
                    bound.allows,
                    count(grouped.groups, "value", "values"),
                    of_bound(bound, survey, "groups")
                );
                others("unit.max_groups", bound);
            }
        }
        survey.bounds.iter().for_each(beyond);
    }
}

/// Prints the shares of values beyond a column's bounds, if there are any.
fn beyond(column: &Bounded) {
    let name = show::plain(&column.column);
    let sides = [(column.below, "below", "lo", column.lo), (column.above, "above", "hi", column.hi)];
    for (share, side, field, bound) in sides.into_iter().filter(|(share, ..)| *share > 0.0) {
        println!("  {name}: {} of the values are {side} {field} = {bound} and count as {bound}", percent_up(share));
    }
    if let Some((lo, hi)) = column.most {
        println!("    lo = {lo}, hi = {hi} would hold 99 % of them");
    }
}

fn of_bound(bound: &Bound, survey: &Survey, of: &str) -> String {
    if bound.units_over == 0 {
        return "all rows count".into();
    }
    let over = percent_down(bound.units_over as f64 / survey.units.max(1) as f64);
    let counted = percent_down(bound.rows_counted);
    format!(
        "{counted} of the rows count in counts and sums; {over} of the privacy units have more {of}. A mean weights the rows of each privacy unit so that all count"
    )
}

fn others(field: &str, bound: &Bound) {
    for other in &bound.others {
        println!(
            "    {field} = {} would count {}, with noise {} times as wide at the same cost",
            other.allows,
            percent_down(other.rows_counted),
            factor(other.noise)
        );
    }
}
