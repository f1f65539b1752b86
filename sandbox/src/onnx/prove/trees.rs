//! Tree ensembles: a row of features descends each tree.
//!
//! References within a tree must be valid: a runtime that trusts a feature's number reads the next row's.

use std::collections::{HashMap, HashSet};

use super::{
    call::{Call, Done},
    classic::{classes, features, labelled, post_transform},
    memory,
    tensor::{Dim, Elem, Tensor, Work},
};

/// Operations for a step down a tree, if caches hold the trees.
const STEP: u64 = 64;
/// Bytes of a node, or of a leaf's weight.
const NODE: u64 = 64;
/// Operations to add a leaf's weight to its score, or to write a score: 5 to 9 ns were measured.
const WEIGHT: u64 = 32;

/// Follows TreeEnsembleClassifier.
pub(super) fn classifier(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(2)?;
    post_transform(call)?;
    let (x, width, flow) = features(call)?;
    let classes = classes(call, "classlabels_int64s", "classlabels_strings")?;
    let steps = forest(call, width)? + leaves(call, "class", classes)?;
    base(call, classes)?;
    if classes < 2 {
        return Err("names one class, two are the least".into());
    }
    // A single score of two classes is output as two.
    Ok(labelled(x, classes, flow, Work::of(x.dims[0], steps)))
}

/// Follows TreeEnsembleRegressor.
pub(super) fn regressor(call: &Call<'_>) -> Result<Done, String> {
    call.outputs(1)?;
    post_transform(call)?;
    let (x, width, flow) = features(call)?;
    let targets = call.int_or("n_targets", 1)?;
    let targets =
        u64::try_from(targets).ok().filter(|n| (1..=1 << 20).contains(n)).ok_or("attribute n_targets must be positive")?;
    if !matches!(call.text("aggregate_function")?.unwrap_or("SUM"), "SUM" | "AVERAGE" | "MIN" | "MAX") {
        return Err("attribute aggregate_function is not known".into());
    }
    let steps = forest(call, width)? + leaves(call, "target", targets)?;
    base(call, targets)?;
    let output = Tensor::new(Elem::F32, vec![x.dims[0], Dim::fixed(targets)], flow);
    Ok(Done { work: Work::of(x.dims[0], steps), ..Done::known(output) })
}

fn base(call: &Call<'_>, targets: u64) -> Result<(), String> {
    match call.floats("base_values")? {
        Some(base) if !base.is_empty() && base.len() as u64 != targets && base.len() != 1 => {
            Err("attribute base_values has another length than its scores".into())
        }
        _ => Ok(()),
    }
}

fn numbers(call: &Call<'_>, name: &str) -> Result<Vec<i64>, String> {
    call.ints(name)?.ok_or_else(|| format!("attribute {name} is missing"))
}

/// Checks whether the nodes form trees over `width` features; returns the maximum number of operations per row.
fn forest(call: &Call<'_>, width: u64) -> Result<u64, String> {
    let (trees, nodes) = (numbers(call, "nodes_treeids")?, numbers(call, "nodes_nodeids")?);
    let (yes, no) = (numbers(call, "nodes_truenodeids")?, numbers(call, "nodes_falsenodeids")?);
    let (of, modes) = (numbers(call, "nodes_featureids")?, call.texts("nodes_modes")?.ok_or("attribute nodes_modes is missing")?);
    let values = call.floats("nodes_values")?.ok_or("attribute nodes_values is missing")?;
    let count = nodes.len();
    let optional = |length: Option<usize>| length.is_none_or(|n| n == 0 || n == count);
    let whole = [trees.len(), yes.len(), no.len(), of.len(), modes.len(), values.len()] == [count; 6]
        && optional(call.ints("nodes_missing_value_tracks_true")?.map(|l| l.len()))
        && optional(call.floats("nodes_hitrates")?.map(<[f32]>::len));
    if !whole || count == 0 {
        return Err("its attributes nodes_* are not of one length".into());
    }
    let mut place = HashMap::with_capacity(count);
    for i in 0..count {
        if place.insert((trees[i], nodes[i]), i).is_some() {
            return Err("a node of a tree is there twice".into());
        }
    }
    // Each node's parent. A node with two parents, or unreachable from the root, makes no tree.
    let mut parents = vec![None; count];
    for i in 0..count {
        match modes[i].as_slice() {
            b"LEAF" => continue,
            b"BRANCH_LEQ" | b"BRANCH_LT" | b"BRANCH_GTE" | b"BRANCH_GT" | b"BRANCH_EQ" | b"BRANCH_NEQ" => {}
            _ => return Err("attribute nodes_modes holds what is not known".into()),
        }
        if !u64::try_from(of[i]).is_ok_and(|f| f < width) {
            return Err(format!("a tree asks for feature {}, rows have {width}", of[i]));
        }
        for child in [yes[i], no[i]] {
            let child = *place.get(&(trees[i], child)).ok_or("a tree names a node that is not there")?;
            if parents[child].replace(i).is_some() {
                return Err("a node of a tree has two parents".into());
            }
        }
    }
    // A tree's nodes are contiguous, with the root first: then every other node has one parent, or there is a cycle.
    let roots = (0..count).filter(|i| parents[*i].is_none());
    let firsts = (0..count).filter(|i| *i == 0 || trees[*i] != trees[*i - 1]);
    let mut known = HashSet::new();
    if !roots.eq(firsts.clone()) || !firsts.clone().all(|i| known.insert(trees[i])) {
        return Err("a tree has no root, or several, or its root is not its first node".into());
    }
    let mut depths: Vec<u32> = vec![0; count];
    let mut deepest: HashMap<i64, u32> = HashMap::new();
    for i in 0..count {
        let (mut path, mut at) = (vec![], i);
        while depths[at] == 0 {
            path.push(at);
            match parents[at] {
                Some(parent) if path.len() <= count => at = parent,
                Some(_) => return Err("a tree goes round in a circle".into()),
                None => {
                    depths[at] = 1;
                    path.pop();
                }
            }
        }
        while let Some(below) = path.pop() {
            depths[below] = depths[at] + 1;
            at = below;
        }
        let deep = deepest.entry(trees[i]).or_default();
        *deep = (*deep).max(depths[i]);
    }
    let step = STEP + memory::wait(NODE * count as u64);
    Ok(deepest.values().map(|d| step * u64::from(*d)).sum())
}

/// Checks the leaves' weights and returns the maximum number of operations per row at the leaves.
///
/// Weights must belong to existing nodes and to one of `most` scores, each once. The maximum counts each tree's heaviest leaf.
fn leaves(call: &Call<'_>, of: &str, most: u64) -> Result<u64, String> {
    let name = |what: &str| format!("{of}_{what}");
    let (trees, nodes) = (numbers(call, &name("treeids"))?, numbers(call, &name("nodeids"))?);
    let ids = numbers(call, &name("ids"))?;
    let weights = call.floats(&name("weights"))?.map_or(0, <[f32]>::len);
    if [trees.len(), nodes.len(), weights] != [ids.len(); 3] || ids.is_empty() {
        return Err(format!("its attributes {of}_* are not of one length"));
    }
    if ids.iter().any(|id| !u64::try_from(*id).is_ok_and(|id| id < most)) {
        return Err(format!("a leaf is for a score that is not there, of {most}"));
    }
    let there: HashSet<_> = numbers(call, "nodes_treeids")?.into_iter().zip(numbers(call, "nodes_nodeids")?).collect();
    let (mut held, mut seen) = (HashMap::<_, u64>::new(), HashSet::with_capacity(ids.len()));
    for ((tree, node), id) in trees.iter().zip(&nodes).zip(&ids) {
        if !there.contains(&(*tree, *node)) {
            return Err("a weight is of a node that is not there".into());
        }
        if !seen.insert((tree, node, id)) {
            return Err("a leaf has two weights for one score".into());
        }
        *held.entry((tree, node)).or_default() += 1;
    }
    let mut heaviest = HashMap::<_, u64>::new();
    for ((tree, _), weights) in held {
        let most = heaviest.entry(tree).or_default();
        *most = weights.max(*most);
    }
    Ok(WEIGHT * (heaviest.values().sum::<u64>() + most))
}
