//! Any text as a query: refused, or it runs over every awkward row without an error and releases nothing beyond its clip range.
#![no_main]

use std::{cell::RefCell, fs::File};

use arrow::datatypes::SchemaRef;
use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{policy, table};
use tidegate_gate::{Plan, release};
use tidegate_protocol::{ContentHash, Cost, MicroRho, cost::FemtoDelta, policy::Policy};
use tidegate_sandbox::sql;

thread_local! {
    static HERE: RefCell<Option<(Policy, File, SchemaRef)>> = const { RefCell::new(None) };
}

fuzz_target!(|text: &str| {
    HERE.with_borrow_mut(|here| {
        let (policy, file, schema) = here.get_or_insert_with(|| {
            let (file, schema) = table();
            (policy(), file, schema)
        });
        let _ = sql::admit_select(text, schema, policy);
        let Ok(query) = sql::admit_query(&sql::Asked::new(text), schema, policy) else { return };
        let Ok(plan) = Plan::new(query.shape.clone()) else { return };
        let file = [file.try_clone().unwrap()];
        let sums = sql::run_query(&query, &plan, &file, &[0; 32], sql::Room::default(), &mut |_| Ok(())).expect("no row can cause an error");
        let price = Cost::dp(MicroRho(1_000_000), FemtoDelta(1_000_000_000));
        if let Ok(calibration) = plan.calibrate(price) {
            release(&plan, &calibration, &[], &sums, ContentHash([0; 32])).expect("sums fit their plan");
        }
    });
});
