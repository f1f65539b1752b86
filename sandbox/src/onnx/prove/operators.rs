//! Operators allowed in a model, as data: name, first supported version, attributes, rule for shapes and rows, and why rows stay
//! apart.
//!
//! Anything else is refused: control flow, random numbers, sequences, optionals and texts, everything whose shape depends on
//! values (`NonZero`, `Unique`, `Compress`), and operators that end a run on some value. Versions: `ai.onnx` from 13 on; older
//! ones were rewritten ([`upgrade`](super::super::lower)).

use super::{
    along, call::Rule, classic, constant, elementwise, layout, linear, pick, quantised, recurrent, support, trees, window,
};

/// Operator of the list.
pub(in crate::onnx) struct Operator {
    /// `ai.onnx.ml`, or empty for the standard domain.
    pub(crate) domain: &'static str,
    pub(crate) name: &'static str,
    /// First version of its domain in which the rule holds.
    pub(super) since: i64,
    /// Attributes known to the rule, separated by spaces.
    pub(super) attributes: &'static str,
    pub(super) rule: Rule,
    /// Reason or condition for rows to stay apart.
    #[allow(dead_code)] // Said to who reads this list.
    pub(super) why: &'static str,
}

/// Finds an operator by domain and name.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|o| o.domain == domain && o.name == name)
}

/// Supported versions of the standard domain.
pub(super) const VERSIONS: std::ops::RangeInclusive<i64> = 7..=24;
/// Supported versions of `ai.onnx.ml`.
pub(super) const ML_VERSIONS: std::ops::RangeInclusive<i64> = 1..=5;

const fn op(
    domain: &'static str,
    name: &'static str,
    since: i64,
    attributes: &'static str,
    rule: Rule,
    why: &'static str,
) -> Operator {
    Operator { domain, name, since, attributes, rule, why }
}

const ML: &str = "ai.onnx.ml";

/// List of allowed operators.
pub(in crate::onnx) const OPERATORS: &[Operator] = &[
    // Each value by itself.
    op("", "Abs", 13, "", elementwise::each, "each value by itself"),
    op("", "Ceil", 13, "", elementwise::each, "each value by itself"),
    op("", "Floor", 13, "", elementwise::each, "each value by itself"),
    op("", "Neg", 13, "", elementwise::each, "each value by itself"),
    op("", "Reciprocal", 13, "", elementwise::each, "each value by itself"),
    op("", "Relu", 13, "", elementwise::each, "each value by itself"),
    op("", "Round", 13, "", elementwise::each, "each value by itself"),
    op("", "Sign", 13, "", elementwise::each, "each value by itself"),
    op("", "BitwiseNot", 13, "", elementwise::each, "each value by itself"),
    op("", "Acos", 13, "", elementwise::curve, "a function of each value"),
    op("", "Acosh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Asin", 13, "", elementwise::curve, "a function of each value"),
    op("", "Asinh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Atan", 13, "", elementwise::curve, "a function of each value"),
    op("", "Atanh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Cos", 13, "", elementwise::wave, "a function of each value of 32 bits"),
    op("", "Cosh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Erf", 13, "", elementwise::curve, "a function of each value"),
    op("", "Exp", 13, "", elementwise::curve, "a function of each value"),
    op("", "Log", 13, "", elementwise::curve, "a function of each value"),
    op("", "Sigmoid", 13, "", elementwise::curve, "a function of each value"),
    op("", "Sin", 13, "", elementwise::wave, "a function of each value of 32 bits"),
    op("", "Sinh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Softplus", 13, "", elementwise::curve, "a function of each value"),
    op("", "Softsign", 13, "", elementwise::curve, "a function of each value"),
    op("", "Sqrt", 13, "", elementwise::curve, "a function of each value"),
    op("", "Tan", 13, "", elementwise::curve, "a function of each value"),
    op("", "Tanh", 13, "", elementwise::curve, "a function of each value"),
    op("", "Mish", 13, "", elementwise::curve, "a function of each value"),
    op("", "HardSwish", 13, "", elementwise::curve, "a function of each value"),
    op("", "Celu", 13, "alpha", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "Elu", 13, "alpha", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "Gelu", 13, "approximate", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "HardSigmoid", 13, "alpha beta", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "LeakyRelu", 13, "alpha", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "Selu", 13, "alpha gamma", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "Shrink", 13, "bias lambd", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "ThresholdedRelu", 13, "alpha", elementwise::curve, "a function of each value, its numbers are the model's"),
    op("", "Identity", 13, "", elementwise::identity, "the same"),
    op("", "Not", 13, "", elementwise::question, "each truth value by itself"),
    op("", "IsNaN", 13, "", elementwise::question, "asks each value"),
    op("", "IsInf", 13, "detect_negative detect_positive", elementwise::question, "asks each value"),
    op("", "Cast", 13, "to saturate", elementwise::cast, "each value in another type"),
    op("", "Clip", 13, "", elementwise::clip, "each value between bounds that are for all the same"),
    op("", "Dropout", 13, "seed", elementwise::dropout, "nothing, where nothing is trained"),
    // Values at the same place of several tensors.
    op("", "Add", 13, "", elementwise::add, "values at one place"),
    op("", "Sub", 13, "", elementwise::sub, "values at one place"),
    op("", "Mul", 13, "", elementwise::mul, "values at one place"),
    op("", "Div", 13, "", elementwise::divide, "values at one place; whole numbers by constants alone"),
    op("", "Mod", 13, "fmod", elementwise::divide, "as Div; whole numbers alone"),
    op("", "Pow", 13, "", elementwise::power, "values at one place"),
    op("", "PRelu", 13, "", elementwise::slope, "a slope for each place"),
    op("", "Equal", 13, "", elementwise::equal, "compares values at one place"),
    op("", "Greater", 13, "", elementwise::greater, "compares values at one place"),
    op("", "GreaterOrEqual", 13, "", elementwise::greater_or_equal, "compares values at one place"),
    op("", "Less", 13, "", elementwise::less, "compares values at one place"),
    op("", "LessOrEqual", 13, "", elementwise::less_or_equal, "compares values at one place"),
    op("", "And", 13, "", elementwise::logic, "truth values at one place"),
    op("", "Or", 13, "", elementwise::logic, "truth values at one place"),
    op("", "Xor", 13, "", elementwise::logic, "truth values at one place"),
    op("", "Max", 13, "", elementwise::several, "values at one place"),
    op("", "Mean", 13, "", elementwise::several, "values at one place"),
    op("", "Min", 13, "", elementwise::several, "values at one place"),
    op("", "Sum", 13, "", elementwise::several, "values at one place"),
    op("", "Where", 13, "", elementwise::choose, "one of two values at one place"),
    // Products.
    op("", "MatMul", 13, "", linear::matmul, "rows by constants, or within a row"),
    op("", "Gemm", 13, "alpha beta transA transB", linear::gemm, "rows by constants"),
    op("", "MatMulInteger", 13, "", linear::matmul_integer, "as MatMul, of few bits"),
    op("", "QLinearMatMul", 13, "", linear::qlinear_matmul, "as MatMul, of few bits"),
    op(
        "",
        "Conv",
        13,
        "auto_pad dilations group kernel_shape pads strides",
        window::conv,
        "each image by itself, with constant kernels",
    ),
    op("", "ConvInteger", 13, "auto_pad dilations group kernel_shape pads strides", window::conv_integer, "as Conv, of few bits"),
    op("", "QLinearConv", 13, "auto_pad dilations group kernel_shape pads strides", window::qlinear_conv, "as Conv, of few bits"),
    op(
        "",
        "LSTM",
        13,
        "activation_alpha activation_beta activations clip direction hidden_size input_forget layout",
        recurrent::lstm,
        "time by time, rows beside each other; time comes first",
    ),
    op(
        "",
        "GRU",
        13,
        "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset",
        recurrent::gru,
        "as LSTM",
    ),
    // Windows and pools.
    op(
        "",
        "AveragePool",
        13,
        "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides",
        window::pool,
        "each image by itself",
    ),
    op(
        "",
        "MaxPool",
        13,
        "auto_pad ceil_mode dilations kernel_shape pads storage_order strides",
        window::pool,
        "each image by itself; not the places in all rows",
    ),
    op("", "GlobalAveragePool", 13, "", window::global_pool, "each image by itself"),
    op("", "GlobalMaxPool", 13, "", window::global_pool, "each image by itself"),
    // Along axes.
    op("", "Hardmax", 13, "axis", along::softmax, "along an axis that is not the rows'"),
    op("", "LogSoftmax", 13, "axis", along::softmax, "along an axis that is not the rows'"),
    op("", "Softmax", 13, "axis", along::softmax, "along an axis that is not the rows'"),
    op("", "LpNormalization", 13, "axis p", along::lp_normalization, "along an axis that is not the rows'"),
    op("", "CumSum", 13, "exclusive reverse", along::cumsum, "along an axis that is not the rows'"),
    op("", "LayerNormalization", 17, "axis epsilon stash_type", along::layer_norm, "over the last axes, none the rows'"),
    op("", "RMSNormalization", 23, "axis epsilon stash_type", along::layer_norm, "as LayerNormalization"),
    op("", "MeanVarianceNormalization", 13, "axes", along::mean_variance, "over axes that are named; over rows if none are"),
    op(
        "",
        "BatchNormalization",
        14,
        "epsilon momentum training_mode",
        along::batch_norm,
        "statistics of the model, not of the batch",
    ),
    op("", "InstanceNormalization", 13, "epsilon", along::instance_norm, "each channel of each image"),
    op("", "GroupNormalization", 21, "epsilon num_groups stash_type", along::group_norm, "each group of channels of each image"),
    op("", "LRN", 13, "alpha beta bias size", along::lrn, "over neighbouring channels"),
    op("", "ReduceL1", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceL2", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceLogSum", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceLogSumExp", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceMax", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceMean", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceMin", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceProd", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceSum", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op("", "ReduceSumSquare", 13, "axes keepdims noop_with_empty_axes", along::reduce, "over axes, none the rows'"),
    op(
        "",
        "ArgMax",
        13,
        "axis keepdims select_last_index",
        along::arg,
        "over an axis; the first, and so the rows', if none is named",
    ),
    op(
        "",
        "ArgMin",
        13,
        "axis keepdims select_last_index",
        along::arg,
        "over an axis; the first, and so the rows', if none is named",
    ),
    op("", "TopK", 13, "axis largest sorted", along::top, "along an axis that is not the rows', as many as is known"),
    // Values moved.
    op("", "Reshape", 14, "allowzero", layout::reshape, "each row's values stay together"),
    op("", "Flatten", 13, "axis", layout::flatten, "each row's values stay together"),
    op("", "Squeeze", 13, "", layout::squeeze, "axes that are named"),
    op("", "Unsqueeze", 13, "", layout::unsqueeze, "axes that are named"),
    op("", "Transpose", 13, "perm", layout::transpose, "rows are followed to their new axis"),
    op("", "Concat", 13, "axis", layout::concat, "along another axis than the rows'"),
    op("", "Split", 13, "axis num_outputs", layout::split, "along another axis than the rows'"),
    op("", "Expand", 13, "", layout::expand, "what is for all rows the same, beside each"),
    op("", "Tile", 13, "", layout::tile, "other axes than the rows'"),
    op("", "Pad", 13, "mode", layout::pad, "other axes than the rows'"),
    op("", "DepthToSpace", 13, "blocksize mode", layout::depth, "within each image"),
    op("", "SpaceToDepth", 13, "blocksize", layout::depth, "within each image"),
    op("", "Trilu", 14, "upper", layout::triangle, "a triangle of axes that are not the rows'"),
    // Values picked.
    op("", "Slice", 13, "", pick::slice, "parts of each row"),
    op("", "Gather", 13, "axis", pick::gather, "parts of each row, or a table's row for each; places are clipped"),
    op("", "GatherND", 13, "batch_dims", pick::gather_nd, "a row's own part, at places that are known"),
    op("", "GatherElements", 13, "axis", pick::gather_elements, "a row's own values; places are clipped"),
    op("", "OneHot", 13, "axis", pick::one_hot, "a list for each value"),
    op(ML, "ArrayFeatureExtractor", 1, "", pick::columns, "columns that are known"),
    // Shapes and constants.
    op("", "Shape", 13, "start end", pick::shape, "numbers of rows stay such"),
    op("", "Size", 13, "", pick::size, "as Shape"),
    op("", "Constant", 13, "value value_float value_floats value_int value_ints", constant::constant, "comes with the model"),
    op("", "ConstantOfShape", 13, "value", constant::of_shape, "one value, for all rows the same"),
    op("", "Range", 13, "", constant::range, "numbers from one to another that are known"),
    // Numbers of few bits.
    op(
        "",
        "QuantizeLinear",
        13,
        "axis block_size output_dtype precision saturate",
        quantised::quantize,
        "scales come with the model",
    ),
    op("", "DequantizeLinear", 13, "axis block_size output_dtype", quantised::dequantize, "scales come with the model"),
    op("", "DynamicQuantizeLinear", 13, "", quantised::dynamic, "one scale for all rows: never proven"),
    // Trees, linear models and what comes before them.
    op(
        ML,
        "TreeEnsembleClassifier",
        1,
        "nodes_falsenodeids nodes_featureids nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values base_values post_transform class_ids class_nodeids class_treeids class_weights classlabels_int64s classlabels_strings",
        trees::classifier,
        "a row goes down each tree",
    ),
    op(
        ML,
        "TreeEnsembleRegressor",
        1,
        "nodes_falsenodeids nodes_featureids nodes_hitrates nodes_missing_value_tracks_true nodes_modes nodes_nodeids nodes_treeids nodes_truenodeids nodes_values base_values post_transform aggregate_function n_targets target_ids target_nodeids target_treeids target_weights",
        trees::regressor,
        "a row goes down each tree",
    ),
    op(
        ML,
        "LinearClassifier",
        1,
        "classlabels_ints classlabels_strings coefficients intercepts multi_class post_transform",
        classic::linear_classifier,
        "rows by constants",
    ),
    op(
        ML,
        "LinearRegressor",
        1,
        "coefficients intercepts post_transform targets",
        classic::linear_regressor,
        "rows by constants",
    ),
    op(ML, "Scaler", 1, "offset scale", classic::by_feature, "a number for each feature"),
    op(
        ML,
        "Imputer",
        1,
        "imputed_value_floats imputed_value_int64s replaced_value_float replaced_value_int64",
        classic::by_feature,
        "a number for each feature",
    ),
    op(
        ML,
        "SVMClassifier",
        1,
        "classlabels_ints classlabels_strings coefficients kernel_params kernel_type post_transform prob_a prob_b rho support_vectors vectors_per_class",
        support::classifier,
        "a row against the model's own vectors",
    ),
    op(
        ML,
        "SVMRegressor",
        1,
        "coefficients kernel_params kernel_type n_supports one_class post_transform rho support_vectors",
        support::regressor,
        "a row against the model's own vectors",
    ),
    op(ML, "Normalizer", 1, "norm", classic::normalizer, "each row by itself"),
    op(
        ML,
        "LabelEncoder",
        2,
        "default_float default_int64 keys_floats keys_int64s values_floats values_int64s",
        classic::label_encoder,
        "each value by a table",
    ),
];
