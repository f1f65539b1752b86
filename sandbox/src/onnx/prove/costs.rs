//! Worst-case costs of operators, as data.
//!
//! They were measured over ordinary, huge, tiny, denormal, infinite and missing values, and in the least favourable shapes, by
//! `bench/onnx_cost.py` (ONNX Runtime 1.32 on one thread), in operations at two per nanosecond, doubled and rounded up to a power
//! of two.
//!
//! A rule counts the work that grows with a product or a window. A cost here is per value read from rows or made of them,
//! whichever are more. The larger of both counts. An operator whose time depends on values without bound has no place here: `Mod`
//! of floats takes 10 or 1400 ns a value, and is refused.

/// Operations per value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    name: &'static str,
    /// Cost for values of up to 4 bytes.
    single: u64,
    /// Cost for values of 8 bytes.
    double: u64,
}

const fn cost(name: &'static str, single: u64, double: u64) -> Cost {
    Cost { name, single, double }
}

/// Returns an operator's cost per value, of 8 bytes or of fewer.
pub(super) fn of(name: &str, double: bool) -> Option<u64> {
    let cost = COSTS.iter().find(|cost| cost.name == name)?;
    Some(if double { cost.double } else { cost.single })
}

/// Table of costs.
const COSTS: &[Cost] = &[
    cost("Abs", 1, 2),                       // 0.19 and 0.31 ns
    cost("Ceil", 2, 4),                      // 0.44 and 0.79 ns
    cost("Floor", 2, 4),                     // 0.40 and 0.71 ns
    cost("Neg", 1, 2),                       // 0.18 and 0.31 ns
    cost("Reciprocal", 2, 4),                // 0.31 and 0.80 ns
    cost("Relu", 1, 2),                      // 0.19 and 0.31 ns
    cost("Round", 2, 4),                     // 0.31 and 0.53 ns
    cost("Sign", 8, 2),                      // 1.12 and 0.47 ns
    cost("BitwiseNot", 1, 2),                // 0.18 and 0.31 ns
    cost("Acos", 4, 4),                      // 0.70 and 0.70 ns
    cost("Acosh", 64, 64),                   // 9.04 and 9.04 ns
    cost("Asin", 8, 8),                      // 1.19 and 1.19 ns
    cost("Asinh", 128, 128),                 // 22.79 and 22.79 ns
    cost("Atan", 8, 8),                      // 1.03 and 1.03 ns
    cost("Atanh", 128, 128),                 // 18.86 and 18.86 ns
    cost("Cos", 32, 256),                    // 5.17 and 59.87 ns
    cost("Cosh", 64, 64),                    // 10.42 and 10.42 ns
    cost("Erf", 4, 4),                       // 0.67 and 0.67 ns
    cost("Exp", 2, 32),                      // 0.32 and 4.77 ns
    cost("Log", 8, 32),                      // 1.78 and 4.87 ns
    cost("Sigmoid", 2, 64),                  // 0.45 and 10.99 ns
    cost("Sin", 32, 1024),                   // 5.32 and 132.64 ns
    cost("Sinh", 128, 128),                  // 17.66 and 17.66 ns
    cost("Softplus", 64, 64),                // 12.52 and 12.52 ns
    cost("Softsign", 2, 2),                  // 0.31 and 0.31 ns
    cost("Sqrt", 2, 8),                      // 0.44 and 1.29 ns
    cost("Tan", 64, 64),                     // 14.95 and 14.95 ns
    cost("Tanh", 2, 16),                     // 0.39 and 3.40 ns
    cost("Mish", 64, 64),                    // 12.90 and 12.90 ns
    cost("HardSwish", 2, 2),                 // 0.44 and 0.44 ns
    cost("Celu", 16, 16),                    // 2.59 and 2.59 ns
    cost("Elu", 16, 16),                     // 2.60 and 2.60 ns
    cost("Gelu", 4, 4),                      // 0.77 and 0.77 ns
    cost("HardSigmoid", 1, 1),               // 0.24 and 0.24 ns
    cost("LeakyRelu", 1, 1),                 // 0.25 and 0.25 ns
    cost("Selu", 16, 16),                    // 2.57 and 2.57 ns
    cost("Shrink", 32, 32),                  // 6.57 and 7.08 ns
    cost("ThresholdedRelu", 1, 1),           // 0.21 and 0.21 ns
    cost("Identity", 1, 2),                  // 0.18 and 0.36 ns
    cost("Not", 1, 1),                       // 0.10 and 0.22 ns
    cost("IsNaN", 1, 2),                     // 0.21 and 0.29 ns
    cost("IsInf", 1, 2),                     // 0.22 and 0.34 ns
    cost("Cast", 4, 32),                     // 0.64 and 6.95 ns
    cost("Clip", 1, 2),                      // 0.20 and 0.32 ns
    cost("Dropout", 4, 4),                   // 0.67 and 0.70 ns
    cost("Add", 1, 2),                       // 0.20 and 0.32 ns
    cost("Sub", 1, 2),                       // 0.19 and 0.32 ns
    cost("Mul", 1, 2),                       // 0.19 and 0.32 ns
    cost("Div", 4, 16),                      // 0.80 and 2.58 ns
    cost("Mod", 32, 32),                     // 6.82 and 6.61 ns
    cost("Pow", 64, 128),                    // 13.71 and 19.05 ns
    cost("PRelu", 32, 32),                   // 4.14 and 4.14 ns
    cost("Equal", 1, 2),                     // 0.21 and 0.30 ns
    cost("Greater", 1, 2),                   // 0.22 and 0.32 ns
    cost("GreaterOrEqual", 1, 2),            // 0.21 and 0.32 ns
    cost("Less", 1, 2),                      // 0.22 and 0.32 ns
    cost("LessOrEqual", 1, 2),               // 0.21 and 0.30 ns
    cost("And", 1, 1),                       // 0.06 and 0.06 ns
    cost("Or", 1, 1),                        // 0.06 and 0.06 ns
    cost("Xor", 1, 1),                       // 0.05 and 0.06 ns
    cost("Max", 1, 2),                       // 0.24 and 0.42 ns
    cost("Mean", 2, 2),                      // 0.26 and 0.26 ns
    cost("Min", 1, 2),                       // 0.25 and 0.42 ns
    cost("Sum", 1, 2),                       // 0.19 and 0.32 ns
    cost("Where", 16, 16),                   // 3.75 and 3.67 ns
    cost("MatMul", 8, 8),                    // 1.19 and 1.20 ns
    cost("Gemm", 2, 2),                      // 0.37 and 0.39 ns
    cost("MatMulInteger", 2, 2),             // 0.29 and 0.29 ns
    cost("QLinearMatMul", 2, 2),             // 0.31 and 0.31 ns
    cost("Conv", 16, 16),                    // 2.38 and 2.38 ns
    cost("ConvInteger", 16, 16),             // 3.18 and 3.18 ns
    cost("QLinearConv", 16, 16),             // 2.30 and 2.30 ns
    cost("LSTM", 64, 64),                    // 9.55 and 9.55 ns
    cost("GRU", 64, 64),                     // 9.79 and 9.79 ns
    cost("AveragePool", 2, 2),               // 0.48 and 0.48 ns
    cost("MaxPool", 2, 128),                 // 0.49 and 16.09 ns
    cost("GlobalAveragePool", 2, 2),         // 0.26 and 0.26 ns
    cost("GlobalMaxPool", 1, 1),             // 0.24 and 0.24 ns
    cost("Hardmax", 4, 4),                   // 0.63 and 0.63 ns
    cost("LogSoftmax", 2, 32),               // 0.48 and 5.50 ns
    cost("Softmax", 2, 32),                  // 0.45 and 5.86 ns
    cost("LpNormalization", 8, 8),           // 1.07 and 1.87 ns
    cost("CumSum", 16, 16),                  // 3.17 and 3.15 ns
    cost("LayerNormalization", 64, 64),      // 13.21 and 12.70 ns
    cost("RMSNormalization", 2, 8),          // 0.36 and 1.61 ns
    cost("MeanVarianceNormalization", 4, 4), // 0.68 and 0.68 ns
    cost("BatchNormalization", 1, 2),        // 0.20 and 0.33 ns
    cost("InstanceNormalization", 2, 2),     // 0.50 and 0.50 ns
    cost("GroupNormalization", 8, 16),       // 1.41 and 2.07 ns
    cost("LRN", 128, 128),                   // 25.24 and 25.24 ns
    cost("ReduceL1", 16, 16),                // 3.13 and 3.43 ns
    cost("ReduceL2", 32, 16),                // 4.21 and 3.52 ns
    cost("ReduceLogSum", 64, 64),            // 12.54 and 15.16 ns
    cost("ReduceLogSumExp", 64, 64),         // 12.07 and 15.66 ns
    cost("ReduceMax", 8, 8),                 // 1.75 and 1.80 ns
    cost("ReduceMean", 8, 8),                // 1.68 and 1.91 ns
    cost("ReduceMin", 8, 8),                 // 1.75 and 1.79 ns
    cost("ReduceProd", 16, 16),              // 2.85 and 2.36 ns
    cost("ReduceSum", 8, 8),                 // 1.48 and 1.26 ns
    cost("ReduceSumSquare", 16, 16),         // 3.94 and 3.17 ns
    cost("ArgMax", 16, 16),                  // 2.86 and 2.62 ns
    cost("ArgMin", 16, 16),                  // 2.90 and 2.61 ns
    cost("TopK", 512, 512),                  // 71.75 and 77.27 ns
    cost("Reshape", 1, 2),                   // 0.18 and 0.31 ns
    cost("Flatten", 1, 2),                   // 0.17 and 0.31 ns
    cost("Squeeze", 1, 2),                   // 0.17 and 0.32 ns
    cost("Unsqueeze", 1, 2),                 // 0.18 and 0.31 ns
    cost("Transpose", 16, 16),               // 3.64 and 3.75 ns
    cost("Concat", 2, 2),                    // 0.35 and 0.37 ns
    cost("Split", 2, 2),                     // 0.37 and 0.39 ns
    cost("Expand", 2, 2),                    // 0.27 and 0.31 ns
    cost("Tile", 16, 16),                    // 2.62 and 2.62 ns
    cost("Pad", 16, 16),                     // 2.41 and 2.65 ns
    cost("DepthToSpace", 8, 8),              // 1.93 and 1.45 ns
    cost("SpaceToDepth", 4, 4),              // 0.58 and 0.71 ns
    cost("Trilu", 1, 2),                     // 0.22 and 0.36 ns
    cost("Slice", 8, 8),                     // 1.02 and 1.20 ns
    cost("Gather", 32, 32),                  // 7.31 and 7.36 ns
    cost("GatherND", 64, 64),                // 9.23 and 9.17 ns
    cost("GatherElements", 4, 4),            // 0.72 and 0.83 ns
    cost("OneHot", 16, 16),                  // 2.73 and 2.73 ns
    cost("ArrayFeatureExtractor", 2, 8),     // 0.44 and 1.05 ns
    cost("QuantizeLinear", 1, 1),            // 0.20 and 0.20 ns
    cost("DequantizeLinear", 1, 1),          // 0.19 and 0.19 ns
    cost("DynamicQuantizeLinear", 2, 2),     // 0.27 and 0.27 ns
    cost("TreeEnsembleClassifier", 64, 64),  // 8.58 and 8.58 ns
    cost("TreeEnsembleRegressor", 64, 64),   // 10.18 and 10.18 ns
    cost("LinearClassifier", 2, 2),          // 0.45 and 0.45 ns
    cost("LinearRegressor", 2, 2),           // 0.39 and 0.39 ns
    cost("SVMClassifier", 256, 256),         // 42.16 ns of the least kernel; the rule counts vectors
    cost("SVMRegressor", 32, 32),            // 4.07 ns, likewise
    cost("Scaler", 16, 16),                  // 2.61 and 2.87 ns
    cost("Imputer", 8, 8),                   // 1.46 and 1.46 ns
    cost("Normalizer", 32, 32),              // 5.02 and 5.67 ns
    // Known before a row is read, or nearly so.
    cost("Shape", 1, 1),
    cost("Size", 1, 1),
    cost("Constant", 1, 1),
    cost("ConstantOfShape", 1, 1),
    cost("Range", 4, 4),
    cost("LabelEncoder", 32, 32), // 7.12 and 7.42 ns
];

#[cfg(test)]
mod tests {
    use tidegate_fixtures::models::{
        Attr::{Float, Floats, Int, Ints, Texts},
        Graph, elem,
    };

    use super::*;
    use crate::onnx::{
        prove::{OPERATORS, follow, rows_input, tensor::Elem},
        strict,
    };

    /// An operator without a cost is refused; one that is not on the list needs none.
    #[test]
    fn every_operator_has_one_cost_and_every_cost_an_operator() {
        for operator in OPERATORS {
            assert_eq!(COSTS.iter().filter(|cost| cost.name == operator.name).count(), 1, "{}", operator.name);
        }
        for cost in COSTS {
            assert!(OPERATORS.iter().any(|operator| operator.name == cost.name), "{} is no operator", cost.name);
            assert!((1..=1024).contains(&cost.single) && (1..=1024).contains(&cost.double), "{cost:?}");
        }
    }

    /// Nanoseconds that a value was measured to take, of which each is two operations: whatever the table says, a model of the operator is counted as no less.
    #[test]
    fn what_was_measured_is_counted_of_every_value_of_every_row() {
        const ROWS: u64 = 7;
        const WIDTH: u64 = 100;
        for (operator, inputs, outputs, double, nanoseconds) in [
            ("Log", &["x"][..], &["y"][..], true, 4),
            ("Asinh", &["x"], &["y"], false, 22),
            ("Tan", &["x"], &["y"], false, 14),
            ("Pow", &["x", "x"], &["y"], false, 13),
            ("TopK", &["x", "k"], &["y", "i"], false, 71),
        ] {
            let (number, kind) = if double { (elem::F64, Elem::F64) } else { (elem::F32, Elem::F32) };
            let graph = Graph::new().input("x", number, &format!("rows,{WIDTH}")).ints("k", &[1], &[2]);
            let model = strict::read(&graph.node(operator, inputs, outputs, &[]).output("y", number).bytes()).unwrap();
            let found = follow(&model, model.graph.as_ref().unwrap(), vec![("x".into(), rows_input(kind, &[WIDTH]))]);
            let counted = found.unwrap_or_else(|e| panic!("{operator}: {}", e.why)).work.at(ROWS);
            assert!(counted >= u128::from(ROWS * WIDTH * 2 * nanoseconds), "{operator} counts as {counted} operations");
        }
    }

    fn work(graph: Graph, width: u64) -> Result<u128, String> {
        let model = strict::read(&graph.bytes()).unwrap();
        let found = follow(&model, model.graph.as_ref().unwrap(), vec![("x".into(), rows_input(Elem::F32, &[width]))]);
        found.map(|found| found.work.at(1)).map_err(|e| e.why)
    }

    /// A leaf may hold as many weights as a model has room for, and a row that comes to it adds all of them: 5 ns each.
    #[test]
    fn the_weights_of_a_tree_s_heaviest_leaf_are_counted() {
        const WEIGHTS: usize = 10_000;
        let nodes: Vec<i64> = [vec![1], vec![2; WEIGHTS]].concat();
        let (zeros, weights) = (vec![0; WEIGHTS + 1], vec![0.0; WEIGHTS + 1]);
        let tree = [
            ("n_targets", Int(2)),
            ("nodes_treeids", Ints(&[0, 0, 0])),
            ("nodes_nodeids", Ints(&[0, 1, 2])),
            ("nodes_featureids", Ints(&[0, 0, 0])),
            ("nodes_modes", Texts(&["BRANCH_LEQ", "LEAF", "LEAF"])),
            ("nodes_values", Floats(&[0.5, 0.0, 0.0])),
            ("nodes_truenodeids", Ints(&[1, 0, 0])),
            ("nodes_falsenodeids", Ints(&[2, 0, 0])),
            ("target_treeids", Ints(&zeros)),
            ("target_nodeids", Ints(&nodes)),
            ("target_ids", Ints(&zeros)),
            ("target_weights", Floats(&weights)),
        ];
        let graph = Graph::new().input("x", elem::F32, "rows,1").node("ml:TreeEnsembleRegressor", &["x"], &["y"], &tree);
        // Or refused, as weights of one leaf for one target twice may be.
        if let Ok(counted) = work(graph.output("y", elem::F32), 1) {
            assert!(counted >= 10 * WEIGHTS as u128, "{WEIGHTS} weights count as {counted} operations");
        }
    }

    /// A row that names many places of a table in memory waits for each, and one that names one place does not: 50 to 86 ns were measured.
    #[test]
    fn places_in_tables_beyond_caches_count_as_waits() {
        const WAIT: u128 = 2 * 86;
        let gather = |entries: i64| {
            let table = vec![0.0; entries as usize];
            let graph = Graph::new().input("x", elem::F32, "rows,1").floats("t", &[entries], &table);
            let graph =
                graph.node("Cast", &["x"], &["i"], &[("to", Int(7))]).node("Gather", &["t", "i"], &["y"], &[("axis", Int(0))]);
            work(graph.output("y", elem::F32), 1).unwrap()
        };
        assert!(gather(1 << 21) >= WAIT, "{}", gather(1 << 21));
        assert!(gather(1 << 10) < WAIT, "a table in the caches: {}", gather(1 << 10));
        let keys: Vec<f32> = (0..1 << 18).map(|i| i as f32).collect();
        let table = [("keys_floats", Floats(&keys)), ("values_floats", Floats(&keys)), ("default_float", Float(1.0))];
        let graph = Graph::new().input("x", elem::F32, "rows,1").node("ml:LabelEncoder", &["x"], &["y"], &table);
        let encoder = work(graph.output("y", elem::F32), 1).unwrap();
        assert!(encoder >= 2 * WAIT, "{encoder}");
    }

    /// NaN is no key's equal in versions 2 and 3: a table of many is looked through to its end, 2 ns each, by a row that has NaN and by no other.
    #[test]
    fn a_label_encoder_has_no_two_keys_that_are_nan() {
        let (keys, values) = (vec![f32::NAN; 1000], vec![0.5; 1000]);
        let table = [("keys_floats", Floats(&keys)), ("values_floats", Floats(&values)), ("default_float", Float(1.0))];
        let graph = Graph::new().input("x", elem::F32, "rows,1").node("ml:LabelEncoder", &["x"], &["y"], &table);
        if let Ok(counted) = work(graph.output("y", elem::F32), 1) {
            assert!(counted >= 4 * 1000, "1000 keys count as {counted} operations");
        }
    }
}
