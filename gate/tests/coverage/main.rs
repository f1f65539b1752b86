//! How often the 95 % interval of every number that is released holds the true one: of every measure, with Gaussian and with Laplace noise, from hardly any to more than
//! there are people, in the middle of what a number can be and at its ends; of people with one row and with several, of blocks, of groups that pass a threshold, and of
//! the row of those that do not.
//!
//! Each case is released a few times; where fewer intervals hold than ought to, more often, afresh; and once more, which alone decides ([`STAGES`]). What decides is
//! exact: intervals that hold with [`LEAST`] fail by chance, over all numbers together, with [`CHANCE`]. `TIDEGATE_COVERAGE_RUNS` sets how many releases there are of every
//! case instead, and eight times as many where they show less than their share, and prints what was seen.
#![allow(clippy::unwrap_used, clippy::panic)]

mod case;
mod labels;
mod seen;
mod values;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use statrs::distribution::{Binomial, DiscreteCDF};
use tidegate_protocol::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
};

use case::Case;
use seen::Seen;

/// What an interval claims, less what it may lack.
const LEAST: f64 = 0.94;

/// The chance that intervals which hold with [`LEAST`] fail this test, all numbers together.
const CHANCE: f64 = 1e-6;

/// Releases of a case, and the share of intervals of some number below which there is a next stage. The last decides.
///
/// What holds with 95 % comes to the last once in some tens of thousands of times. An interval that is 15 % too narrow holds with 90 % (of Laplace noise 92 %): in one case
/// the stages find it with about a third (a tenth), and there are tens of cases of each number.
const STAGES: [(usize, f64); 4] = [(48, 0.905), (300, 0.93), (1500, 0.935), (8000, 0.0)];

/// So many numbers that hold too seldom are enough: no more are looked for.
const ENOUGH: usize = 10;

/// Beside the widths of noise where both are far apart there is one where areas, and one where spreads, are hardly told from it.
const LEVELS: [&str; 7] = ["least", "small", "middling", "wide", "large", "larger", "drowning"];

/// Prices that buy a standard deviation, on one lane, of about a fortieth of a person, one, seven, 25, 70, 250, and 700.
fn prices() -> Vec<(&'static str, &'static str, Cost)> {
    let deviations = [0.022, 0.7, 7.0, 25.0, 70.0, 250.0, 700.0];
    let micro = |v: f64| (v * 1e6).round() as u64;
    // Groups whose keys were not declared need a δ; others do not look at it.
    let delta = FemtoDelta(1_000_000);
    let both = LEVELS.iter().zip(deviations).flat_map(|(level, deviation)| {
        [
            ("Gaussian", *level, Cost::dp(MicroRho(micro(0.5 / (deviation * deviation))), delta)),
            ("Laplace", *level, Cost::pure(MicroEpsilon(micro(2f64.sqrt() / deviation)), delta)),
        ]
    });
    both.collect()
}

/// Whether intervals that hold with [`LEAST`] would have held so seldom, in one of so many numbers, with no more than [`CHANCE`]: the binomial's lower tail.
fn is_too_seldom(held: usize, runs: usize, numbers: usize) -> bool {
    Binomial::new(LEAST, runs as u64).unwrap().cdf(held as u64) <= CHANCE / numbers as f64
}

/// Releases `case` until its intervals have held often enough, or as often as there is time for.
fn look(case: &Case, cost: Cost, asked: Option<usize>) -> Vec<(String, Seen)> {
    let mut stages = asked.map_or(STAGES.to_vec(), |runs| vec![(runs, LEAST), (3 * runs, 0.0)]).into_iter();
    let (mut runs, mut enough) = stages.next().unwrap();
    loop {
        let seen = case.release(cost, runs);
        if seen.iter().all(|(_, seen)| seen.share() >= enough) {
            return seen;
        }
        (runs, enough) = stages.next().unwrap();
    }
}

#[test]
fn intervals_hold_what_they_say_in_the_middle_and_at_the_ends() {
    let prices = prices();
    let cases: Vec<Case> = values::cases().into_iter().chain(labels::cases()).collect();
    let jobs: Vec<_> = cases.iter().flat_map(|case| prices.iter().map(move |price| (case, price))).collect();
    let numbers = jobs.iter().map(|(case, _)| case.truths.len()).sum();
    let failed = |seen: &Seen| is_too_seldom(seen.held, seen.runs, numbers);
    let (next, bad, found) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let asked = std::env::var("TIDEGATE_COVERAGE_RUNS").ok().map(|n| n.parse::<usize>().unwrap());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((case, (noise, level, cost))) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let seen = look(case, *cost, asked);
                    let more = seen.iter().filter(|(_, seen)| failed(seen)).count();
                    found
                        .lock()
                        .unwrap()
                        .extend(seen.into_iter().map(|(number, seen)| (number, case.name, *noise, *level, seen)));
                    if bad.fetch_add(more, Ordering::Relaxed) + more >= ENOUGH && asked.is_none() {
                        break;
                    }
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    if asked.is_some() {
        print(&found);
    }
    let failed: Vec<String> = found
        .iter()
        .filter(|(.., seen)| failed(seen))
        .map(|(number, name, noise, level, seen)| format!("{number}, {name}, {noise}, {level}: {} of {}", seen.held, seen.runs))
        .collect();
    assert!(failed.is_empty(), "intervals hold too seldom:\n{}", failed.join("\n"));
    // Nothing was left out of what can be measured.
    assert_eq!(seen::kinds(found.iter().map(|(number, ..)| number)), seen::KINDS);
}

/// The least share of each kind of number over all cases, and the largest mean error.
fn print(found: &[(String, &str, &str, &str, Seen)]) {
    let mut worst: BTreeMap<(String, &str, &str), (f64, &str)> = BTreeMap::new();
    let mut off: BTreeMap<String, (f64, String)> = BTreeMap::new();
    for (number, name, noise, level, seen) in found {
        let least = worst.entry((seen::kind(number), noise, level)).or_insert((2.0, ""));
        if seen.share() < least.0 {
            *least = (seen.share(), name);
        }
        let most = off.entry(seen::kind(number)).or_default();
        if seen.off().abs() > most.0.abs() {
            *most = (seen.off(), format!("{name}, {noise}, {level}: {:.3} of a width of {:.3}", seen.error, seen.width));
        }
    }
    println!("{} numbers\nnumber | noise | {} | most off, in half widths", found.len(), LEVELS.join(" | "));
    for (kind, (most, text)) in &off {
        for noise in ["Gaussian", "Laplace"] {
            let at = |level: &&str| worst.get(&(kind.clone(), noise, *level)).copied();
            let shares: Vec<String> =
                LEVELS.iter().map(|level| at(level).map_or("–".into(), |least| format!("{:.3}", least.0))).collect();
            println!("{kind} | {noise} | {} | {most:.2}: {text}", shares.join(" | "));
            let least = LEVELS.iter().filter_map(at).min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            println!("  least where: {}", least.1);
        }
    }
}

#[test]
fn what_is_too_seldom_follows_from_the_runs() {
    // Of 2000 runs intervals that hold with 94 % hold in 1880, give or take 11: six times that below are not by chance.
    assert!(!is_too_seldom(1880, 2000, 5000) && !is_too_seldom(1815, 2000, 5000));
    assert!(is_too_seldom(1790, 2000, 5000) && is_too_seldom(0, 48, 5000));
    // Never, of one.
    assert!(!is_too_seldom(0, 1, 5000));
}
