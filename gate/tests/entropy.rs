//! Where noise comes from.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;

use tidegate_gate::{Column, Keys, Measure, Plan, Shape, Sum, Sums, release};
use tidegate_protocol::{ContentHash, Cost, MicroRho, cost::FemtoDelta};

const SHOW: &str = "TIDEGATE_SHOW_DRAWS";

/// Without its feature `use-openssl` OpenDP draws from a generator that it calls non-secure itself.
#[test]
fn noise_is_drawn_from_openssls_generator() {
    let platform = format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo_metadata::MetadataCommand::new().other_options(["--offline".into(), platform]).exec().unwrap();
    let opendp = metadata.packages.iter().filter(|p| p.name.as_str() == "opendp").map(|p| &p.id).collect::<Vec<_>>();
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let built: Vec<_> = nodes.iter().filter(|node| opendp.contains(&&node.id)).collect();
    let [one] = built.as_slice() else { panic!("OpenDP is there {} times", built.len()) };
    assert!(one.features.iter().any(|f| f.as_str() == "use-openssl"), "{:?}", one.features);
    // The operating system seeds it: OpenSSL as Debian or whoever builds it might have been configured otherwise.
    let openssl = nodes.iter().find(|node| node.id.repr.contains("openssl-sys@")).unwrap();
    assert!(openssl.features.iter().any(|f| f.as_str() == "vendored"), "{:?}", openssl.features);
}

/// Noise of wide spread, as text.
fn draws() -> String {
    let columns = vec![Column::new("s", Measure::Sum(Sum { lo: 0.0, hi: 1.0 }))];
    let shape = Shape { key_names: vec![], keys: Keys::None, columns, max_groups: 1, max_rows: 1, blocks: None };
    let plan = Plan::new(shape).unwrap();
    let calibration = plan.calibrate(Cost::dp(MicroRho(1), FemtoDelta(0))).unwrap();
    let draw = || release(&plan, &calibration, &[], &Sums::default(), ContentHash([0; 32])).unwrap();
    (0..8).map(|_| format!("{} ", draw().document().rows[0].cells[0].value)).collect()
}

/// Two processes that start alike draw different noise, and so does one that draws twice: nothing is seeded by what they share.
#[test]
fn processes_that_start_alike_draw_different_noise() {
    if std::env::var_os(SHOW).is_some() {
        println!("drawn: {}", draws());
        return;
    }
    let drawn = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "processes_that_start_alike_draw_different_noise";
        let output = command.args(["--exact", name, "--nocapture"]).env(SHOW, "1").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find_map(|line| Some(line.split_once("drawn: ")?.1.to_owned())).unwrap_or_else(|| panic!("{text}"))
    };
    let (one, two, here) = (drawn(), drawn(), draws());
    assert!(one != two && one != here && here != draws(), "{one}");
    assert!(one.split_whitespace().collect::<std::collections::BTreeSet<_>>().len() == 8, "{one}");
}
