//! Models: what is refused by their bytes alone.

use crate::common::{
    job,
    locked::{Alone, Locked},
    policy, table,
};
use tidegate_protocol::{
    ContentHash, Refusal,
    job::{Output, Program, Reducer, RowReduce, Split},
};
use tidegate_sandbox::{
    Help, admit,
    onnx::{NOWHERE, Values, rewrite},
    run,
};

fn model(name: &str) -> Vec<u8> {
    std::fs::read(tidegate_fixtures::path(&format!("models/{name}.onnx"))).unwrap()
}

fn program(bytes: &[u8], select: &str, output: &str, reduce: RowReduce) -> Program {
    let score = Output { name: "score".into(), lo: 0.0, hi: 1.0, reducer: Reducer::Sum, default: 0.0 };
    Program::Onnx {
        on: None,
        model: ContentHash::of(bytes),
        select: select.into(),
        label: None,
        output: output.into(),
        index: 0,
        reduce,
        split: Split::Unit,
        outputs: vec![score],
    }
}

fn refusal(bytes: Vec<u8>, select: &str, output: &str) -> Result<(), Refusal> {
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let job = job(program(&bytes, select, output, RowReduce::Mean));
    admit(&job, &policy, &t.schema, Some(bytes.into())).map(|_| ())
}

const FIVE: &str = "SELECT spend, visits, spend + 1, visits + 1, spend + 2 FROM dataset";

#[test]
fn a_sound_model_is_admitted() {
    refusal(model("heavy_user"), FIVE, "score").unwrap();
}

#[test]
fn hostile_and_unfitting_models_are_refused_by_name() {
    let sound = model("heavy_user");
    for (bytes, select, output, word) in [
        (model("hostile_external"), FIVE, "score", "outside the file"),
        (model("hostile_address"), FIVE, "score", "memory address"),
        (sound.clone(), "SELECT spend FROM dataset", "score", "5 features, the query selects 1"),
        (sound.clone(), FIVE, "other", "no output \"other\""),
        (sound[..sound.len() / 2].to_vec(), FIVE, "score", "ONNX model"),
        (vec![], FIVE, "score", "no graph"),
        (vec![0xff; 64], FIVE, "score", "not an ONNX model"),
        // Field 7 (the graph) nested in itself far beyond what a decoder should follow.
        ([0x3a, 0x02].repeat(5000), FIVE, "score", ""),
    ] {
        let said = refusal(bytes, select, output).unwrap_err().to_string();
        assert!(said.contains(word), "{said} / {word}");
    }
}

/// A field of a message, as protocol buffers write it (<https://protobuf.dev/programming-guides/encoding/>), of less than 128 bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let key = u32::from(number) << 3 | 2;
    let key = if key < 128 { vec![key as u8] } else { vec![key as u8 | 128, (key >> 7) as u8] };
    [&key[..], &[bytes.len() as u8], bytes].concat()
}

/// What an otherwise sound model may not hold beside: nobody has looked at it, or it would lead elsewhere.
#[test]
fn what_is_not_understood_is_not_handed_on() {
    let sound = model("heavy_user");
    let with = |more: Vec<u8>| refusal([&sound[..], &more].concat(), FIVE, "score");
    let named = |name: &[u8], more: Vec<u8>| field(7, &field(1, &[field(2, name), field(4, b"Relu"), more].concat()));
    let node = |more: Vec<u8>| named(b"score", more);
    let attribute = |more: Vec<u8>| node(field(5, &[field(1, b"alpha"), more].concat()));
    for (more, word) in [
        (field(25, b""), "functions"),
        (field(20, b""), "trained by"),
        (field(26, b""), "device configuration"),
        (vec![0x98, 0x06, 1], "number 99 of the model"),
        (field(7, &field(15, b"")), "sparse initializers"),
        (field(7, &field(99, b"")), "number 99 of the graph"),
        (node(field(8, b"other")), "overload"),
        (node(field(10, b"")), "device"),
        (node(field(7, b"com.example")), "of domain"),
        (attribute(field(6, b"")), "nested graph"),
        (attribute(field(11, b"")), "nested graph"),
        (attribute(field(22, b"")), "nested graph"),
        (attribute(field(21, b"outer")), "of a function"),
        (attribute(field(14, b"")), "of a function or a type"),
        (attribute(field(5, &field(13, b""))), "outside the file"),
        (attribute(field(10, &field(3, b""))), "outside the file"),
        (field(7, &field(5, &[0x70, 1])), "outside the file"),
        (field(7, &field(11, &field(2, &field(4, b"")))), "is not a tensor, but a sequence"),
        (field(7, &field(11, &field(2, &field(10, b"")))), "number 10 of a type"),
    ] {
        let said = with(more).unwrap_err().to_string();
        assert!(said.contains(word), "{said} / {word}");
    }
    // What says nothing to a runtime is dropped on the way: it reads what was checked, and nothing beside.
    let noted = [&sound[..], &field(6, b"a note"), &field(14, &[field(1, b"key"), field(2, b"value")].concat())].concat();
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let t = table(&[(Some(1), Some(1.0), 1, "a")]);
    let handed = |bytes: &[u8]| {
        let job = job(program(bytes, FIVE, "score", RowReduce::Mean));
        admit(&job, &policy, &t.schema, Some(bytes.to_vec().into())).unwrap().loads().unwrap().0.to_vec()
    };
    assert_eq!(handed(&noted), handed(&sound));
    // So is what nobody asked for, whatever it is.
    let beside = [&sound[..], &named(b"other", field(5, &[field(1, b"alpha"), field(6, b"")].concat()))].concat();
    assert_eq!(handed(&beside), handed(&sound));
    let again = |bytes: &[u8]| rewrite(bytes, "score", None).unwrap();
    assert_eq!(again(&again(&sound)), again(&sound));
}

/// A text is what the model says of it, or of texts that it does not name; none is the default.
#[test]
fn texts_of_rows_are_looked_up_among_the_models() {
    use tidegate_fixtures::models::{
        Attr::{Float, Floats, Texts},
        Graph, elem,
    };
    let names: &[(&str, tidegate_fixtures::models::Attr<'_>)] =
        &[("keys_strings", Texts(&["Zürich", "b"])), ("values_floats", Floats(&[0.25, 0.5])), ("default_float", Float(0.75))];
    let model = Graph::new().input("x", elem::TEXT, "rows,1").node("ml:LabelEncoder", &["x"], &["y"], names);
    let bytes = model.output("y", elem::F32).bytes();
    let select = |expression: &str| format!("SELECT {expression} FROM dataset");
    let texts = "CASE WHEN visits = 4 THEN NULL WHEN visits = 1 THEN 'Zürich' WHEN visits = 2 THEN 'b' ELSE 'somewhere else' END";
    refusal(bytes.clone(), &select(texts), "y").unwrap();
    let said = refusal(bytes.clone(), &select("visits"), "y").unwrap_err().to_string();
    assert!(said.contains("input \"x\" takes texts") && said.contains("AS TEXT"), "{said}");
    let said = refusal(model_of_floats(), &select(texts), "y").unwrap_err().to_string();
    assert!(said.contains("takes numbers"), "{said}");
    let Some(environment) = crate::common::runtime::runtime() else { return };
    let t = table(&[(Some(1), None, 1, "a"), (Some(2), None, 2, "a"), (Some(3), None, 3, "a"), (Some(4), None, 4, "a")]);
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let job = job(program(&bytes, &select(texts), "y", RowReduce::Mean));
    let admitted = admit(&job, &policy, &t.schema, Some(bytes.into())).unwrap();
    let direct = crate::common::direct::Direct::shared(&environment, admitted.loads().unwrap());
    let help = Help { inference: Some(direct), ..Help::default() };
    let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], help).unwrap();
    assert_eq!((sums.groups[0].units, sums.groups[0].lanes[0]), (4, (1.5 / 2f64.powi(-20)) as i128));
}

fn model_of_floats() -> Vec<u8> {
    use tidegate_fixtures::models::{Graph, elem};
    Graph::new().input("x", elem::F32, "rows,1").node("Relu", &["x"], &["y"], &[]).output("y", elem::F32).bytes()
}

/// A runner of few slots, in no order. A row's number is its first feature, and the place where it was is kept.
struct Echo {
    rows: usize,
    slots: Vec<Vec<f32>>,
    busy: Vec<(usize, usize)>,
}

impl Echo {
    fn new(rows: u32, slots: usize) -> Self {
        Self { rows: rows as usize, slots: vec![vec![f32::NAN; rows as usize]; slots], busy: vec![] }
    }
}

impl Alone for Echo {
    fn slots(&self) -> usize {
        self.slots.len()
    }

    fn write(&mut self, input: usize, places: &[u32], columns: &[Values<'_>]) {
        let (0, Values::F32(values)) = (input, &columns[0]) else { panic!("one input of floats is expected") };
        for (place, value) in places.iter().zip(*values).filter(|(place, _)| **place != NOWHERE) {
            let (slot, row) = (*place as usize / self.rows, *place as usize % self.rows);
            assert!(self.busy.iter().all(|(busy, _)| *busy != slot), "a slot was written while it was run");
            self.slots[slot][row] = *value;
        }
    }

    fn submit(&mut self, slot: usize, runs: &[u32]) {
        self.busy.push((slot, runs.iter().sum::<u32>() as usize));
    }

    fn wait(&mut self) -> usize {
        self.busy[self.busy.len() - 1].0
    }

    fn read(&mut self, slot: usize) -> Vec<f32> {
        let at = self.busy.iter().position(|(busy, _)| *busy == slot).unwrap();
        let (_, rows) = self.busy.remove(at);
        self.slots[slot][..rows].to_vec()
    }
}

#[test]
fn scores_are_reduced_per_unit_and_failures_become_the_default() {
    let t = table(&[
        (Some(1), Some(0.25), 1, "a"),
        (Some(1), Some(0.75), 1, "a"),
        (Some(2), None, 1, "a"),
        (Some(3), Some(9.0), 1, "a"),
    ]);
    let mut policy = policy();
    policy.kinds.push(tidegate_protocol::policy::JobKind::Onnx);
    let bytes = model("heavy_user");
    // Mean 0.5, NULL → NaN → default 0, 9 clipped to 1; maximum 0.75 instead of the mean.
    for (reduce, expected) in [(RowReduce::Mean, 1.5), (RowReduce::Max, 1.75), (RowReduce::Sum, 2.0), (RowReduce::Last, 1.75)] {
        let job = job(program(&bytes, FIVE, "score", reduce));
        let admitted = admit(&job, &policy, &t.schema, Some(bytes.clone().into())).unwrap();
        let echo = Echo::new(admitted.loads().unwrap().1.most(), 6);
        let help = Help { inference: Some(Locked::shared(echo)), ..Help::default() };
        let sums = run(&admitted, &[t.file.try_clone().unwrap()], &[7; 32], help).unwrap();
        assert_eq!(sums.groups[0].units, 3);
        assert_eq!(sums.groups[0].lanes, [(expected / 2f64.powi(-20)) as i128], "{reduce:?}");
    }
}
