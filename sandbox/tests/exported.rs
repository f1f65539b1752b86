//! Models as people export them (`fixtures/models/exported`, by `make_exported_models.py`): what is run of them gives what ONNX Runtime gave of the whole model, and no
//! row's numbers follow from another's.

use std::{collections::BTreeMap, path::PathBuf};

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue, SessionOutputs},
    value::Tensor,
};
use serde::Deserialize;
use tidegate_sandbox::onnx::{Verdict, inline, inspect, number_of, rewrite};

use crate::common::runtime::runtime;

#[derive(Deserialize)]
struct Recorded {
    inputs: BTreeMap<String, Values>,
    outputs: BTreeMap<String, Values>,
}

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "type")]
    kind: String,
    shape: Vec<usize>,
    /// Numbers, none where they are not finite; or texts.
    values: Vec<serde_json::Value>,
}

/// The models that are kept; of another folder, which the same script made, where `EXPORTED` names one.
fn all() -> Vec<(String, Vec<u8>, Recorded)> {
    let folder = std::env::var_os("EXPORTED").map_or_else(|| tidegate_fixtures::path("models/exported"), PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|kind| kind == "onnx"));
    files.sort();
    let read = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        let beside = |name: &str, from: u64, many: u64| {
            let all = std::fs::read(folder.join(name)).unwrap();
            Ok(all[from as usize..(from + many) as usize].to_vec())
        };
        let whole = inline(&bytes, beside).unwrap().unwrap_or(bytes);
        let recorded = std::fs::read_to_string(path.with_extension("json")).unwrap();
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), whole, serde_json::from_str(&recorded).unwrap())
    };
    files.iter().map(read).collect()
}

/// Those that are refused, of all that the script makes, and why.
const REFUSED: &[(&str, &str)] = &[("pipe_knnimp", "functions of its own"), ("sk_qda", "rows are not the first dimension")];

#[test]
fn they_are_proven_to_keep_rows_apart() {
    let mut wrong = vec![];
    for (name, model, _) in all() {
        let seen = inspect(&model);
        let why = seen.refused.as_ref().map(ToString::to_string).unwrap_or_default();
        let texts = |why: &str| why.contains("this output is texts");
        let fine = seen.outputs.iter().all(|o| o.verdict == Verdict::RowIndependent || o.refused.as_deref().is_some_and(texts));
        match REFUSED.iter().find(|(known, _)| *known == name) {
            Some((_, word)) if why.contains(word) => {}
            None if fine && seen.best == Verdict::RowIndependent => {}
            _ => wrong.push(format!("{name}: {:?}, {why} {:?}", seen.verdict, seen.mixed_by)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Exports that people were refused elsewhere: a branch for labels that nobody asked for, ZipMap, texts, weights beside the model, a mask of attention.
#[test]
fn exports_with_more_than_numbers_are_proven_too() {
    let folder = tidegate_fixtures::path("models/cases");
    for name in ["label_branch", "zipmap", "string_inputs", "torch_default", "attention_mask"] {
        let bytes = std::fs::read(folder.join(name).with_extension("onnx")).unwrap();
        let beside = |file: &str, from: u64, many: u64| {
            let all = std::fs::read(folder.join(file)).unwrap();
            Ok(all[from as usize..(from + many) as usize].to_vec())
        };
        let whole = inline(&bytes, beside).unwrap().unwrap_or(bytes);
        let seen = inspect(&whole);
        assert_eq!(seen.best, Verdict::RowIndependent, "{name}: {:?} {:?}", seen.refused, seen.mixed_by);
    }
}

#[test]
fn they_give_what_the_runtime_gave_of_the_whole_model() {
    let Some(environment) = runtime() else { return };
    let (mut wrong, mut compared) = (vec![], 0);
    for (name, model, recorded) in all() {
        if REFUSED.iter().any(|(known, _)| *known == name) {
            continue;
        }
        for (output, wanted) in &recorded.outputs {
            compared += 1;
            if let Err(e) = compare(&environment, &model, &recorded, output, wanted) {
                wrong.push(format!("{name}, {output}: {e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 40, "{compared}");
}

fn compare(environment: &Environment, model: &[u8], recorded: &Recorded, output: &str, wanted: &Values) -> Result<(), String> {
    let written = rewrite(model, output, None).map_err(|e| e.to_string())?;
    let session = Session::builder(environment).unwrap().with_intra_threads(1).unwrap();
    let mut session =
        session.with_deterministic_compute(true).unwrap().commit_from_memory(&written).map_err(|e| e.to_string())?;
    let rows = wanted.shape[0];
    let order: Vec<usize> = (0..rows).collect();
    let found = run(&mut session, model, recorded, output, &order)?;
    let same = |(found, wanted): (&f64, &serde_json::Value)| match wanted.as_f64() {
        Some(wanted) => (found - wanted).abs() <= 2e-4 * wanted.abs().max(1.0),
        None => !found.is_finite(),
    };
    if found.len() != wanted.values.len() || !found.iter().zip(&wanted.values).all(same) {
        return Err(format!("{found:?} is not {:?}", wanted.values));
    }
    // Another row in a row's place: the others' numbers stay, to the last bit.
    let each = found.len() / rows;
    for changed in 0..rows {
        let mut order = order.clone();
        order[changed] = (changed + 1) % rows;
        let after = run(&mut session, model, recorded, output, &order)?;
        let differs = |row: &usize| {
            let both = found[row * each..].iter().zip(&after[row * each..]).take(each);
            *row != changed && both.into_iter().any(|(a, b)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan()))
        };
        if let Some(row) = (0..rows).find(differs) {
            return Err(format!("row {row} moved with row {changed}"));
        }
    }
    Ok(())
}

/// The numbers of an output, for rows in this order.
fn run(session: &mut Session, model: &[u8], recorded: &Recorded, output: &str, order: &[usize]) -> Result<Vec<f64>, String> {
    let input = |(name, values): (&String, &Values)| {
        let each = values.values.len() / values.shape[0];
        let of = |row: &usize| &values.values[row * each..(row + 1) * each];
        let picked: Vec<&serde_json::Value> = order.iter().flat_map(of).collect();
        let floats = || picked.iter().map(|v| v.as_f64().unwrap_or(f64::NAN));
        let shape = values.shape.clone();
        let value: SessionInputValue<'_> = match values.kind.as_str() {
            "f32" => Tensor::from_array((shape, floats().map(|v| v as f32).collect::<Vec<_>>())).unwrap().into(),
            "f64" => Tensor::from_array((shape, floats().collect::<Vec<_>>())).unwrap().into(),
            "text" => {
                let number = |text: &&serde_json::Value| number_of(model, output, text.as_str().unwrap()).unwrap().unwrap();
                Tensor::from_array((shape, picked.iter().map(number).collect::<Vec<_>>())).unwrap().into()
            }
            _ => Tensor::from_array((shape, picked.iter().map(|v| v.as_i64().unwrap()).collect::<Vec<_>>())).unwrap().into(),
        };
        (name.clone(), value)
    };
    let values: Vec<_> = recorded.inputs.iter().map(input).collect();
    let outputs = session.run(values).map_err(|e| e.to_string())?;
    numbers(&outputs)
}

fn numbers(outputs: &SessionOutputs<'_>) -> Result<Vec<f64>, String> {
    let value = outputs.values().next().ok_or("no output")?;
    if let Ok((_, data)) = value.try_extract_tensor::<f32>() {
        return Ok(data.iter().map(|v| f64::from(*v)).collect());
    }
    if let Ok((_, data)) = value.try_extract_tensor::<f64>() {
        return Ok(data.to_vec());
    }
    let (_, data) = value.try_extract_tensor::<i64>().map_err(|e| e.to_string())?;
    Ok(data.iter().map(|v| *v as f64).collect())
}

/// What nobody asked for is not run, and does not stand in the way; what is asked for is judged by itself.
#[test]
fn what_nobody_asked_for_is_not_looked_at() {
    use tidegate_fixtures::models::{
        Attr::{Int, Text},
        Graph, elem,
    };
    let graph = Graph::new().input("x", elem::F32, "rows,2").node("Relu", &["x"], &["a"], &[]);
    let graph = graph.node("Sigmoid", &["a"], &["score"], &[]).node("NonZero", &["a"], &["places"], &[]);
    let graph = graph.node("Softmax", &["x"], &["mixed"], &[("axis", Int(0))]).weights("unused", &[100, 100], 1.0);
    let model = graph.output("score", elem::F32).output("places", elem::I64).output("mixed", elem::F32).bytes();
    let seen = inspect(&model);
    let verdicts: Vec<Verdict> = seen.outputs.iter().map(|o| o.verdict).collect();
    assert_eq!(verdicts, [Verdict::RowIndependent, Verdict::Reject, Verdict::PerUnitOnly]);
    // The worst is what is said of all.
    assert_eq!((seen.verdict, seen.best, seen.worst.as_deref()), (Verdict::Reject, Verdict::RowIndependent, Some("places")));
    assert!(seen.refused.unwrap().to_string().contains("NonZero"));
    // The runtime gets neither the other operators nor their weights.
    let written = rewrite(&model, "score", None).unwrap();
    let holds = |word: &str| written.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(holds("Sigmoid") && !holds("NonZero") && !holds("unused") && !holds("Softmax") && written.len() < 400);
    // A name for columns is no operator: the tensor under it is.
    let zip = Graph::new().input("x", elem::F32, "rows,2").node("Sigmoid", &["x"], &["p"], &[]);
    let zip = zip.node("ml:ZipMap", &["p"], &["maps"], &[("classlabels_strings", Text("no"))]).output("maps", elem::F32).bytes();
    assert_eq!(inspect(&zip).verdict, Verdict::RowIndependent);
    assert!(!rewrite(&zip, "maps", None).unwrap().windows(6).any(|w| w == b"ZipMap"));
}
