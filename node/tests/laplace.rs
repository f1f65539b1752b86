//! Laplace noise: paid in pure ε, from a purse of the policy's own.

use tidegate_audit::note::Quorum;
use tidegate_gate::Noise;
use tidegate_node::{
    NodeError,
    auditor::{Ask, audit_source, source},
    buyer::job_file::JobFile,
    owner::budget,
};
use tidegate_protocol::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    receipt::Predicate,
};

use crate::common::{World, said};

const QUERY: &str = "SELECT city, COUNT(DISTINCT person) AS n FROM dataset GROUP BY city";

fn job(epsilon: f64, noise: Noise) -> JobFile {
    let mut file = JobFile::of_sql("purse", QUERY, Some(epsilon), None).unwrap();
    file.noise = noise;
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn laplace_noise_is_paid_from_a_purse_of_its_own() {
    let world = World::new().await;
    let policy = world
        .policy()
        .replace("\nrho = 1.0", "\nepsilon = 3.0\nlaplace_epsilon = 2.0")
        .replace("per_buyer_rho = 0.9", "per_buyer_epsilon = 2.0\nper_buyer_laplace_epsilon = 1.5");
    std::fs::write(world.path("own.csv"), std::fs::read_to_string(world.path("data.csv")).unwrap() + "99,1,north\n").unwrap();
    let dataset = world.publish("own.csv", "purse", &policy, None).await;
    let pass = world.grant(&dataset, world.init("buyer"), 800_000);
    let node = world.serve().await;
    let to = node.address();
    let (_, fair) = world.ask(to, &job(0.8, Noise::Laplace), &pass).await.unwrap();
    let Predicate::Outcome { facts, .. } = &fair.receipt.predicate else { panic!("{:?}", fair.receipt) };
    // A thousandth of the half of δ that is for thresholds pays for the keys.
    let cost = Cost { epsilon_micro: MicroEpsilon(800_000), delta_femto: FemtoDelta(500_000), ..Cost::default() };
    assert_eq!(facts.ledger.cost, cost);
    assert_eq!(facts.mechanism.noise, "discrete-laplace");
    // Half for the threshold, half for the column, over two groups: b = 2/0.4.
    let column = &facts.mechanism.columns[0];
    let (scale, deviation) = (column.noise_scale[0], column.deviation[0]);
    assert!((scale / 5.0 - 1.0).abs() < 1e-6, "{scale}");
    // Of the discrete distribution: 2α/(1 − α)², α = e^(−1/5).
    let alpha = (-0.2f64).exp();
    assert!((deviation / ((2.0 * alpha).sqrt() / (1.0 - alpha)) - 1.0).abs() < 1e-6, "{deviation}");
    assert_eq!((fair.remaining.epsilon_micro.0, fair.remaining.delta_femto.0), (700_000, 499_500_000));

    // The purse is empty before the rest of the budget is, and the grant has a ceiling for it.
    let refused = world.ask(to, &job(0.8, Noise::Laplace), &pass).await.unwrap_err();
    let NodeError::Refused(refusal) = &refused else { panic!("{refused}") };
    assert_eq!(refusal.field.as_deref(), Some("cost.epsilon_micro"));
    assert!(refusal.message.contains("pure ε = 0.7"), "{refusal}");
    let dear = world.ask(to, &job(0.81, Noise::Laplace), &pass).await.unwrap_err();
    assert!(matches!(&dear, NodeError::Refused(refusal) if refusal.to_string().contains("grant")), "{dear}");
    world.ask(to, &job(0.4, Noise::Gaussian), &pass).await.unwrap();
    let accounts = budget::accounts(&world.home("owner")).unwrap();
    let account = accounts.iter().find(|account| account.dataset.manifest.body().name == "purse").unwrap();
    assert_eq!(account.spent.epsilon_micro, MicroEpsilon(800_000));
    // A question with Gaussian noise takes nothing of the purse.
    assert!(account.spent.rho_micro > MicroRho(0) && account.charges.len() == 2);
    // What the owner is shown of it, beside the running node.
    let owner = world.home("owner");
    let printed = said(&owner, &["budget", "--json"]);
    let mut lines = printed.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let purse = lines.find(|line| line["dataset"] == "purse").unwrap();
    assert_eq!(purse["left"]["epsilon_micro"], 1_200_000);
    assert!(purse["left"]["rho_micro"].as_u64().unwrap() > 0);
    let shown = said(&owner, &["budget", "--plot"]);
    assert!(shown.contains("pure ε by job, of 2") && shown.contains("pure ε = 0.8"), "{shown}");

    let buyer = world.buyer(to).await;
    let home = world.home("buyer");
    let ask =
        Ask { home: Some(&home), quorum: Quorum::default(), opened: Default::default(), fresh: None, progress: &mut |_, _| {} };
    let audited = audit_source(&to.peer, &mut source::peer(&buyer, to), None, ask).unwrap();
    assert!(audited.is_sound() && audited.report.intents == 2, "{:?}", audited.report.findings);
    buyer.close().await;
    node.shutdown().await.unwrap();
}
