//! What a buyer's budget buys under a policy, by the noise of the gate itself.

use serde::Serialize;
use tidegate_gate::{Column, Keys, Measure, Plan, Shape, Sum};
use tidegate_node::buyer::expected;
use tidegate_protocol::{
    Cost, MicroRho,
    cost::{FemtoDelta, MicroEpsilon},
    policy::Policy,
};

/// Number of questions that share a budget, beside the one that has all of it.
const MANY: u64 = 100;

/// Answers to questions at a price.
#[derive(Debug, Serialize)]
pub(super) struct Bought {
    /// Number of questions that the budget of a buyer pays for at this price.
    pub(super) questions: u64,
    /// Price of one question.
    pub(super) price: Cost,
    /// Answers to choose from.
    pub(super) answers: Vec<Answer>,
}

/// Answer to a question for one number.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    /// Name of the number.
    pub(super) of: String,
    /// Half width of the 95 % interval of its noise; `None` if no noise can be that wide or narrow.
    pub(super) half_width_95: Option<f64>,
}

/// Returns what a buyer's whole budget buys, as one question and as many: in ρ, and in pure ε if the policy has some.
pub(super) fn bought(policy: &Policy) -> Vec<Bought> {
    let Cost { rho_micro, epsilon_micro, .. } = policy.per_buyer;
    let mut bought = Vec::new();
    for questions in [1, MANY] {
        let gaussian = Cost::dp(MicroRho(rho_micro.0 / questions), FemtoDelta(0));
        let laplace = Cost::pure(MicroEpsilon(epsilon_micro.0 / questions), FemtoDelta(0));
        let prices = [gaussian, laplace].into_iter().filter(|price| *price != Cost::default());
        bought.extend(prices.map(|price| Bought { questions, price, answers: answers(policy, price) }));
    }
    bought
}

fn answers(policy: &Policy, price: Cost) -> Vec<Answer> {
    let mut asked = vec![("a count of units".to_owned(), Measure::Units)];
    if policy.unit.max_rows > 1 {
        asked.push(("a count of rows".to_owned(), Measure::Count));
    }
    let sums = policy.columns.iter().filter_map(|(name, rule)| Some((name, rule.bounds()?)));
    asked.extend(sums.map(|(name, (lo, hi))| (format!("a sum of {name}"), Measure::Sum(Sum { lo, hi }))));
    asked.into_iter().map(|(of, measure)| Answer { of, half_width_95: half_width(policy, measure, price) }).collect()
}

/// Returns the half width of the 95 % interval of one number over all rows, asked for by itself.
fn half_width(policy: &Policy, measure: Measure, price: Cost) -> Option<f64> {
    let shape = Shape {
        key_names: vec![],
        keys: Keys::None,
        columns: vec![Column::new("n", measure)],
        max_groups: policy.unit.max_groups,
        max_rows: policy.unit.max_rows,
        blocks: None,
    };
    let plan = Plan::new(shape).ok()?;
    let mechanism = plan.mechanism(&plan.calibrate(price).ok()?);
    let noise = expected::noise(&mechanism);
    Some(noise.first()?.parts.first()?.half_width_95)
}
