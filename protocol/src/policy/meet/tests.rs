//! What both allow, against a plain account of what a policy refuses: over generated policies, and things asked of them.

use std::sync::LazyLock;

use self::random::Random;
use super::super::{Answering, FileRules, Names, ReadRules, Standing, Wall};
use super::*;
use crate::{
    ContentHash, Cost, Identity, MicroRho, PeerId,
    cost::{FemtoDelta, MicroEpsilon},
    device::On,
    grant::Action,
};

mod random;

fn peer(n: u8) -> PeerId {
    static PEERS: LazyLock<[PeerId; 3]> = LazyLock::new(|| [0, 1, 2].map(|n| Identity::from_seed([n; 32]).id()));
    PEERS[usize::from(n)]
}

fn manifest(n: u64) -> ContentHash {
    ContentHash::of(&n.to_le_bytes())
}

fn standing(n: u8) -> Standing {
    Standing { buyer: peer(n), program: manifest(n.into()) }
}

const WALLS: [Wall; 5] = [Wall::Landlock, Wall::Calls, Wall::Privileges, Wall::Limits, Wall::Namespaces];
const KINDS: [JobKind; 3] = [JobKind::Sql, JobKind::Wasm, JobKind::Onnx];
const ROUNDINGS: [u32; 5] = [1, 3, 5, 999_999_937, 1_000_000_000];

fn policy(r: &mut Random) -> Policy {
    let access = [Access::Nobody, Access::Granted, Access::Anybody];
    let cost = |r: &mut Random| Cost {
        rho_micro: MicroRho(r.below(10)),
        epsilon_micro: MicroEpsilon(r.below(10)),
        delta_femto: FemtoDelta(r.below(10)),
        reviewed: r.below(10) as u32,
    };
    let columns = ["a", "b", "c"].map(|name| {
        let (lo, hi) = (r.below(10) as f64, 1.0 + r.below(10) as f64);
        let chars = r.coin().then(|| 1 + r.below(9) as u32);
        let (lo, hi) = if r.often() { (Some(lo), Some(lo + hi)) } else { (None, None) };
        let rule = ColumnRule { lo, hi, chars };
        (name.to_owned(), rule)
    });
    let witnesses = r.coin().then(|| {
        let keys: Vec<_> = r.some(&["k", "l", "m", "n"]).into_iter().map(str::to_owned).collect();
        WitnessRule { quorum: 1 + r.below(keys.len().max(1) as u64) as u32, keys }
    });
    let reviewed = r.often().then(|| ReviewRules {
        jobs: 1 + r.below(9) as u32,
        min_units: 3 + r.below(9) as u32,
        dominance: Dominance { units: 1 + r.below(3) as u32, percent: 1 + r.below(100) as u32 },
        p_percent: 1 + r.below(100) as u32,
        round_to: r.one(&ROUNDINGS),
        standing: r.some(&[standing(1), standing(2)]),
    });
    let devices = [DeviceRule::Auto, DeviceRule::Cpu, DeviceRule::Cuda(0), DeviceRule::Cuda(1)];
    Policy {
        version: 1 + u32::from(!r.often()),
        unit: UnitRule {
            column: if r.often() { "person" } else { "household" }.into(),
            max_units: 2 + r.below(9),
            max_rows: 1 + r.below(9) as u32,
            max_groups: 1 + r.below(9) as u32,
        },
        columns: r.some(&columns).into_iter().collect(),
        tables: if r.often() { vec![] } else { vec!["t".into(), "u".into()] },
        budget: cost(r),
        per_buyer: cost(r),
        delta_femto: FemtoDelta(r.below(10)),
        kinds: r.some(&KINDS),
        min_units: 1 + r.below(9) as u32,
        remainder: r.coin(),
        answer_again: r.coin(),
        reviewed,
        limits: ResourceLimits { fuel: 1 + r.below(9), memory_bytes: 1 + r.below(9), slot_ms: 100 + r.below(9) },
        walls: r.some(&WALLS),
        witnesses,
        parties: if r.often() { Names::Open } else { Names::Hidden },
        models: ModelRules {
            mixing: r.coin(),
            work_per_ms: 1 + r.below(9),
            memory_bytes: 1 + r.below(9),
            threads: r.below(4) as u32,
            device: r.one(&devices),
            gpu_memory_bytes: 1 + r.below(9),
        },
        sql: QueryRules { work_per_ms: 1 + r.below(9), rows: r.coin().then(|| 1 + r.below(9)) },
        read: ReadRules::default(),
        files: FileRules::default(),
        versions: match r.below(3) {
            0 => Answering::Newest,
            1 => Answering::All,
            _ => Answering::These((0..1 + r.below(3)).map(manifest).collect()),
        },
        tick_ms: 100 + r.below(9),
        dangerous_no_tick_for: r.some(&[peer(1), peer(2)]),
        compute: r.one(&access),
        replicate: r.one(&access),
        replay: r.one(&access),
        mirror: r.one(&access),
        hold: r.one(&access),
        list: r.one(&access),
        rehearse: r.one(&access),
    }
}

/// Something that is asked of an owner under a policy.
#[derive(Debug)]
enum Asked {
    /// To do this, with a grant or as anybody.
    Do(Action, Access),
    /// A job of this kind over rows of this unit, in these tables, logged under these names, in this format, cosigned by these witnesses behind these walls,
    /// its model on this device.
    Job {
        kind: JobKind,
        unit: String,
        tables: Vec<String>,
        names: Names,
        version: u32,
        cosigned: Vec<String>,
        walls: Vec<Wall>,
        on: On,
        gpus: u32,
    },
    /// A sum of a column, each value within these bounds; or only to see it.
    Column(String, Option<(f64, f64)>),
    /// To spend this in all, and of one buyer.
    Spend(Cost),
    /// So many rows and groups of a unit to count; a group of so few units to be shown.
    Weigh {
        rows: u32,
        groups: u32,
        shown: u32,
    },
    /// Each of so many units' calls to take so much fuel, memory and operations of a model.
    Take {
        fuel: u64,
        memory: u64,
        work: u64,
        run: u64,
        gpu: u64,
        threads: u32,
        mixing: bool,
    },
    /// What is left over as a row; an answer once more.
    Remainder,
    Again,
    /// An answer to this peer at this time after the slot's begin; and the tick that it is off.
    Reply {
        to: PeerId,
        off_tick: bool,
        tick: u64,
        slot: u64,
    },
    /// ε to be told at this δ.
    Shown(FemtoDelta),
    /// An exact result: the how-manieth, of a cell with these contributions, as this number; by this rule alone.
    Exact {
        number: u32,
        cell: Vec<u64>,
        shown: u64,
        standing: Standing,
    },
    /// So many characters of a column's text.
    Text(String, usize),
    /// A query of so many operations in a millisecond.
    Query(u64),
    /// That this older version answers.
    Older(ContentHash),
}

fn asked(r: &mut Random) -> Asked {
    match r.below(15) {
        0 => Asked::Do(r.one(&Action::ALL), r.one(&[Access::Granted, Access::Anybody])),
        1 => Asked::Job {
            kind: r.one(&KINDS),
            unit: r.one(&["person", "household"]).into(),
            tables: if r.often() { vec![] } else { vec!["t".into(), "u".into()] },
            names: if r.often() { Names::Open } else { Names::Hidden },
            version: 1 + u32::from(!r.often()),
            cosigned: r.some(&["k", "l", "m", "n"]).into_iter().map(str::to_owned).collect(),
            walls: r.some(&WALLS),
            on: r.one(&[On::Cpu, On::Cuda]),
            gpus: r.below(3) as u32,
        },
        2 => {
            let lo = r.below(20) as f64;
            let bounds = r.often().then(|| (lo, lo + r.below(5) as f64));
            Asked::Column(r.one(&["a", "b", "c"]).into(), bounds)
        }
        3 => Asked::Spend(Cost {
            rho_micro: MicroRho(r.below(10)),
            epsilon_micro: MicroEpsilon(r.below(10)),
            delta_femto: FemtoDelta(r.below(10)),
            reviewed: r.below(10) as u32,
        }),
        4 => Asked::Weigh { rows: r.below(10) as u32, groups: r.below(10) as u32, shown: r.below(10) as u32 },
        5 => Asked::Take {
            fuel: r.below(5),
            memory: r.below(5),
            work: r.below(200),
            run: r.below(5),
            gpu: r.below(5),
            threads: 1 + r.below(3) as u32,
            mixing: r.coin(),
        },
        6 => Asked::Remainder,
        7 => Asked::Again,
        8 => Asked::Reply { to: peer(1 + r.below(2) as u8), off_tick: r.coin(), tick: 100 + r.below(9), slot: 100 + r.below(9) },
        9 => Asked::Shown(FemtoDelta(r.below(10))),
        10 | 11 => Asked::Exact {
            number: 1 + r.below(9) as u32,
            cell: (0..3 + r.below(9)).map(|_| r.below(50)).collect(),
            shown: u64::from(r.one(&ROUNDINGS)) * u64::from(r.one(&ROUNDINGS)) * r.below(4),
            standing: standing(1 + r.below(2) as u8),
        },
        12 => Asked::Text(r.one(&["a", "b", "c"]).into(), r.below(12) as usize),
        13 => Asked::Query(r.below(12)),
        _ => Asked::Older(manifest(r.below(4))),
    }
}

/// Whether a policy refuses it: written from what its fields mean, and not from [`Policy::meet`].
fn refuses(p: &Policy, asked: &Asked) -> bool {
    match asked {
        Asked::Do(action, access) => match p.access(*action) {
            Access::Nobody => true,
            Access::Granted => *access == Access::Anybody,
            Access::Anybody => false,
        },
        Asked::Job { kind, unit, tables, names, version, cosigned, walls, on, gpus } => {
            let witnessed = p.witnesses.as_ref().is_none_or(|rule| {
                let signed = rule.keys.iter().filter(|key| cosigned.contains(key)).count();
                rule.quorum > 0 && signed >= rule.quorum as usize
            });
            // A model's place, for what may have one.
            let placed = *kind == JobKind::Sql
                || match p.models.device {
                    DeviceRule::Auto => *on == On::Cpu || *gpus > 0,
                    DeviceRule::Cpu => *on == On::Cpu,
                    DeviceRule::Cuda(index) => *on == On::Cuda && index < *gpus,
                };
            p.compute == Access::Nobody
                || !p.kinds.contains(kind)
                || p.unit.column != *unit
                || p.tables != *tables
                || p.parties != *names
                || p.version != *version
                || !witnessed
                || !placed
                || p.walls.iter().any(|wall| !walls.contains(wall))
        }
        Asked::Column(name, bounds) => match (p.columns.get(name), bounds) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(rule), Some((lo, hi))) => rule.bounds().is_none_or(|(a, b)| *lo < a || *hi > b),
        },
        Asked::Spend(cost) => !cost.within(p.budget) || !cost.within(p.per_buyer),
        Asked::Weigh { rows, groups, shown } => *rows > p.unit.max_rows || *groups > p.unit.max_groups || *shown < p.min_units,
        Asked::Take { fuel, memory, work, run, gpu, threads, mixing } => {
            *fuel > p.fuel_per_call(p.unit.max_units)
                || *memory > p.limits.memory_bytes
                || *work > p.work_per_call(p.unit.max_units)
                || *run > p.models.memory_bytes
                || *gpu > p.models.gpu_memory_bytes
                || (p.models.threads > 0 && *threads > p.models.threads)
                || (*mixing && !p.models.mixing)
        }
        Asked::Remainder => !p.remainder,
        Asked::Again => !p.answer_again,
        Asked::Reply { to, off_tick, tick, slot } => {
            *slot > p.limits.slot_ms || if *off_tick { !p.skips_tick(to) } else { *tick < p.tick_ms }
        }
        Asked::Shown(delta) => *delta > p.delta_femto,
        Asked::Exact { number, cell, shown, standing } => p.reviewed.as_ref().is_none_or(|rules| {
            let mut cell = cell.clone();
            cell.sort_unstable_by(|a, b| b.cmp(a));
            let total: u64 = cell.iter().sum();
            let largest: u64 = cell.iter().take(rules.dominance.units as usize).sum();
            let rest = total - cell[0] - cell[1];
            *number > rules.jobs
                || (cell.len() as u64) < u64::from(rules.min_units)
                || largest * 100 > total * u64::from(rules.dominance.percent)
                || rest * 100 < cell[0] * u64::from(rules.p_percent)
                || *shown % u64::from(rules.round_to) != 0
                || !rules.stands(&standing.buyer, &standing.program)
        }),
        Asked::Text(name, chars) => p.columns.get(name).is_none_or(|rule| *chars > rule.chars()),
        Asked::Query(work) => *work > p.sql.work_per_ms,
        Asked::Older(manifest) => !p.versions.older(manifest),
    }
}

/// With lists in an order of their own.
fn sorted(mut policy: Policy) -> Policy {
    policy.kinds.sort();
    policy.walls.sort_by_key(|wall| format!("{wall:?}"));
    policy.dangerous_no_tick_for.sort_by_key(ToString::to_string);
    if let Some(rule) = &mut policy.witnesses {
        rule.keys.sort();
    }
    if let Some(rules) = &mut policy.reviewed {
        rules.standing.sort_by_key(|one| one.buyer.to_string());
    }
    policy
}

#[test]
fn what_both_allow_is_nothing_that_either_refuses() {
    let mut r = Random(7);
    let (mut refused, mut allowed) = ([0_u32; 14], [0_u32; 14]);
    for _ in 0..5_000 {
        let (a, b) = (policy(&mut r), policy(&mut r));
        let both = a.meet(&b);
        for _ in 0..20 {
            let asked = asked(&mut r);
            let at = match &asked {
                Asked::Do(..) => 0,
                Asked::Job { .. } => 1,
                Asked::Column(..) => 2,
                Asked::Spend(_) => 3,
                Asked::Weigh { .. } => 4,
                Asked::Take { .. } => 5,
                Asked::Remainder => 6,
                Asked::Again => 7,
                Asked::Reply { .. } => 8,
                Asked::Shown(_) => 9,
                Asked::Exact { .. } => 10,
                Asked::Older(_) => 11,
                Asked::Text(..) => 12,
                Asked::Query(_) => 13,
            };
            if refuses(&a, &asked) || refuses(&b, &asked) {
                refused[at] += 1;
                assert!(refuses(&both, &asked), "{asked:?} is refused by one of\n{a:?}\n{b:?}\nand allowed by\n{both:?}");
            } else if !refuses(&both, &asked) {
                allowed[at] += 1;
            }
        }
    }
    // Neither is empty talk: each kind of thing was refused, and each allowed.
    assert!(refused.iter().chain(&allowed).all(|seen| *seen > 20), "{refused:?} {allowed:?}");
}

#[test]
fn meeting_itself_it_is_the_same_and_whichever_is_asked_too() {
    let mut r = Random(8);
    for _ in 0..2_000 {
        let (a, b, c) = (policy(&mut r), policy(&mut r), policy(&mut r));
        let same = a.meet(&a);
        // Lists of witnesses of whom not enough are named never cosign.
        if a.witnesses.as_ref().is_none_or(|rule| rule.keys.len() >= rule.quorum as usize) {
            assert_eq!(sorted(same.clone()), sorted(a.clone()));
        }
        let (ours, theirs) = (a.meet(&b), b.meet(&a));
        let strip = |policy: &Policy| {
            // Where there is no one rule, no job is run, and whose these are does not matter.
            let mut policy = sorted(policy.clone());
            if policy.compute == Access::Nobody && policy.kinds.is_empty() {
                policy.unit.column.clear();
                policy.tables.clear();
                (policy.parties, policy.version) = (Names::Open, 0);
            }
            policy.models.device = DeviceRule::Auto;
            policy
        };
        assert_eq!(strip(&ours), strip(&theirs));
        // What is met once more is no more than before.
        let all = ours.meet(&c);
        for _ in 0..20 {
            let asked = asked(&mut r);
            assert!(!refuses(&ours, &asked) || refuses(&all, &asked), "{asked:?}");
        }
    }
}
