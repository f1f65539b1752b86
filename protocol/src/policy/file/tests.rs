use super::*;
use crate::{
    MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
};

const GOOD: &str = r#"
    [unit]
    column = "person"
    max_units = 6000
    max_rows = 5
    max_groups = 2
    [budget]
    delta = 1e-6
    rho = 2.0
    per_buyer_rho = 1.0
    [jobs]
    kinds = ["sql"]
    min_units = 10
    fuel = 1000000
    memory_mib = 16
    slot = "2s"
    tick = "1s"
    [access]
    compute = "granted"
    replicate = "nobody"
    [columns]
    age = { lo = 0, hi = 110 }
    site = {}
"#;

fn check(text: &str) -> Result<Policy, BadPolicy> {
    PolicyFile::parse(text)?.check(|epsilon, _| Some(epsilon))
}

#[test]
fn a_sound_policy_is_accepted() {
    let policy = check(GOOD).unwrap();
    assert_eq!(policy.budget.rho_micro, MicroRho(2_000_000));
    // The owner's (ε, δ) in all: no more than δ for the conversion and the thresholds together.
    assert_eq!(policy.delta_femto.0 + policy.budget.delta_femto.0, FemtoDelta::ceil(1e-6).unwrap().0);
    assert_eq!(policy.columns["age"].bounds(), Some((0.0, 110.0)));
}

/// ε in all is what the owner wrote: what Laplace noise may spend is taken off before the rest becomes ρ.
#[test]
fn a_purse_of_pure_epsilon_is_part_of_epsilon() {
    let text = GOOD.replace("rho = 2.0", "epsilon = 3.0").replace("per_buyer_rho = 1.0", "per_buyer_epsilon = 2.0");
    let text = text.replacen("[jobs]", "laplace_epsilon = 1.0\nper_buyer_laplace_epsilon = 0.5\n[jobs]", 1);
    // The conversion of this test takes ε for ρ.
    let policy = check(&text).unwrap();
    assert_eq!((policy.budget.rho_micro, policy.budget.epsilon_micro), (MicroRho(2_000_000), MicroEpsilon(1_000_000)));
    assert_eq!((policy.per_buyer.rho_micro, policy.per_buyer.epsilon_micro), (MicroRho(1_500_000), MicroEpsilon(500_000)));
    assert_eq!(check(GOOD).unwrap().budget.epsilon_micro, MicroEpsilon(0));
    for (from, to, field) in [
        ("laplace_epsilon = 1.0", "laplace_epsilon = 3.0", "budget.epsilon"),
        ("per_buyer_laplace_epsilon = 0.5", "per_buyer_laplace_epsilon = 1.5", "budget.per_buyer_laplace_epsilon"),
        ("per_buyer_laplace_epsilon = 0.5", "", "budget.per_buyer_laplace_epsilon"),
        ("laplace_epsilon = 1.0", "laplace_epsilon = nan", "budget.laplace_epsilon"),
        ("laplace_epsilon = 1.0", "laplace_epsilon = -1.0", "budget.laplace_epsilon"),
    ] {
        assert_eq!(check(&text.replacen(from, to, 1)).unwrap_err().field, field, "{from} -> {to}");
    }
}

/// Each unsafe change is refused for exactly that field.
#[test]
fn unsafe_policies_are_refused_with_the_field() {
    for (from, to, field) in [
        ("lo = 0, hi = 110", "lo = 110, hi = 0", "columns.age"),
        ("lo = 0, hi = 110", "lo = 0", "columns.age"),
        ("lo = 0, hi = 110", "lo = 0, hi = inf", "columns.age"),
        ("age =", "person =", "columns.person"),
        ("delta = 1e-6", "delta = 0.1", "budget.delta"),
        ("rho = 2.0", "rho = -1.0", "budget.rho"),
        ("rho = 2.0", "rho = nan", "budget.rho"),
        ("rho = 2.0", "rho = 2e6", "budget.rho"),
        ("rho = 2.0", "epsilon = 1001", "budget.epsilon"),
        ("per_buyer_rho = 1.0", "per_buyer_rho = 3.0", "budget.per_buyer_rho"),
        ("per_buyer_rho = 1.0", "per_buyer_epsilon = 20", "budget.per_buyer_epsilon"),
        ("per_buyer_rho = 1.0", "", "budget.per_buyer_rho"),
        ("kinds = [\"sql\"]", "kinds = []", "jobs.kinds"),
        ("max_groups = 2", "max_groups = 0", "unit.max_groups"),
        ("min_units = 10", "min_units = 0", "jobs.min_units"),
        ("tick = \"1s\"", "tick = \"0s\"", "jobs.tick"),
        ("compute = \"granted\"", "compute = \"anybody\"", "access.compute"),
        ("[access]", "[models]\ngflops = 0\n[access]", "models.gflops"),
        ("[access]", "[sql]\nmops = 0\n[access]", "sql.mops"),
        ("[access]", "[sql]\nmops = nan\n[access]", "sql.mops"),
        ("[access]", "[sql]\nrows = 0\n[access]", "sql.rows"),
        ("[access]", "[files]\nmax_mib = 0\n[access]", "files.max_mib"),
        ("replicate = \"nobody\"", "replicate = \"granted\"\n[files]\nmax_mib = 64", "files.max_mib"),
        ("replicate = \"nobody\"", "replicate = \"nobody\"\nmirror = \"granted\"", "files.max_mib"),
        ("[access]", "[models]\ngflops = nan\n[access]", "models.gflops"),
        ("[access]", "[models]\nthreads = 0\n[access]", "models.threads"),
        ("[access]", "[models]\ndevice = \"gpu\"\n[access]", "models.device"),
        ("[access]", "[models]\ngpu_memory_mib = 1\n[access]", "models.gpu_memory_mib"),
        ("[access]", "[models]\nmemory_mib = 0\n[access]", "models.memory_mib"),
        ("[access]", "[models]\nmemory_mib = 100000\n[access]", "models.memory_mib"),
        ("replicate = \"nobody\"", "", "(file)"),
        ("replicate = \"nobody\"", "replicate = \"everybody\"", "(file)"),
        (
            "[columns]",
            "[reviewed]\njobs = 0\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n[columns]",
            "reviewed.jobs",
        ),
        (
            "[columns]",
            "[reviewed]\njobs = 1\nmin_units = 2\ndominance = { units = 2, percent = 85 }\np_percent = 10\nround_to = 5\n[columns]",
            "reviewed.min_units",
        ),
        (
            "[columns]",
            "[reviewed]\njobs = 1\nmin_units = 10\ndominance = { units = 4, percent = 85 }\np_percent = 10\nround_to = 5\n[columns]",
            "reviewed.dominance.units",
        ),
        (
            "[columns]",
            "[reviewed]\njobs = 1\nmin_units = 10\ndominance = { units = 2, percent = 101 }\np_percent = 10\nround_to = 5\n[columns]",
            "reviewed.dominance.percent",
        ),
        (
            "[columns]",
            "[reviewed]\njobs = 1\nmin_units = 10\ndominance = { units = 2, percent = 85 }\np_percent = 0\nround_to = 5\n[columns]",
            "reviewed.p_percent",
        ),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = check(&GOOD.replacen(from, to, 1)).unwrap_err();
        assert_eq!(error.field, field, "{from} -> {to}: {error}");
    }
}
