#!/usr/bin/env python3
"""Times every operator that models may be made of, over values of every sort, on one thread: nanoseconds a value.

    pip install onnxruntime==1.32.0 onnx numpy
    python bench/onnx_cost.py [--only Sin,TopK] [--table]

A value is one of what an operator takes of rows or makes of them, whichever is more. Denormals are flushed as the runner has it. `--table` prints the lines of
sandbox/src/onnx/prove/costs.rs: what the slowest sort of values takes, in operations at two a nanosecond, doubled and rounded up to a power of two.
"""

import argparse, math, re, sys, time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto as T, helper as h, numpy_helper as nh

OPSET = 23
SORTS = {
    "ordinary": lambda r, n, t: r.standard_normal(n),
    "zero": lambda r, n, t: np.zeros(n),
    "large": lambda r, n, t: r.standard_normal(n) * 1e6,
    "huge": lambda r, n, t: np.where(r.random(n) < 0.5, 1, -1) * np.finfo(t).max * 0.9,
    "tiny": lambda r, n, t: r.standard_normal(n) * np.finfo(t).tiny * 4,
    "denormal": lambda r, n, t: r.standard_normal(n) * np.finfo(t).tiny / 8,
    "nan": lambda r, n, t: np.full(n, np.nan),
    "infinite": lambda r, n, t: np.where(r.random(n) < 0.5, np.inf, -np.inf),
    "ascending": lambda r, n, t: np.arange(n, dtype=np.float64),
    "descending": lambda r, n, t: -np.arange(n, dtype=np.float64),
    "mixed": lambda r, n, t: r.choice([0.0, 1.0, -1.5, np.nan, np.inf, np.finfo(t).max, np.finfo(t).tiny / 8, 1e-8], n),
}
ONNX = {np.float32: T.FLOAT, np.float64: T.DOUBLE, np.int64: T.INT64, np.int32: T.INT32, np.uint8: T.UINT8, np.bool_: T.BOOL}
FLAT, IMAGE = [256, 256], [16, 16, 16, 16]


class Case:
    """One node over rows: inputs by kind (x of rows, or constants), attributes, shape."""

    def __init__(self, op, inputs=("x",), shape=FLAT, constants=None, outputs=1, domain="", types=(np.float32, np.float64), cast=None, **attributes):
        self.op, self.inputs, self.shape, self.constants = op, inputs, shape, constants or {}
        self.outputs, self.domain, self.types, self.cast, self.attributes = outputs, domain, types, cast, attributes


def i64(*values):
    return np.array(values, dtype=np.int64)


def cases():
    one = "Abs Ceil Floor Neg Reciprocal Relu Round Sign Acos Acosh Asin Asinh Atan Atanh Cos Cosh Erf Exp Log Sigmoid Sin Sinh Softplus Softsign Sqrt Tan Tanh " \
          "Mish HardSwish Celu Elu Gelu HardSigmoid LeakyRelu Selu Shrink ThresholdedRelu Identity IsNaN IsInf Dropout Softmax LogSoftmax Hardmax LpNormalization"
    for op in one.split():
        yield Case(op)
    yield Case("BitwiseNot", types=(np.int64, np.int32))
    yield Case("Not", cast=T.BOOL)
    for to in (T.INT64, T.INT32, T.UINT8, T.DOUBLE, T.FLOAT, T.FLOAT16, T.BOOL):
        yield Case("Cast", to=to)
    yield Case("Clip", ("x", "lo", "hi"), constants={"lo": -1.0, "hi": 1.0})
    for op in "Add Sub Mul Div Pow PRelu Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Sum".split():
        yield Case(op, ("x", "x"))
        for c in (0.3, 2.0, -1.7, 1e30, 33.3):
            yield Case(op, ("x", "c"), constants={"c": c})
    yield Case("Pow", ("c", "x"), constants={"c": 1.0000001})
    yield Case("Mod", ("x", "c"), constants={"c": 3}, types=(np.int64, np.int32))
    yield Case("Div", ("x", "c"), constants={"c": 3}, types=(np.int64, np.int32))
    for op in "And Or Xor".split():
        yield Case(op, ("x", "x"), cast=T.BOOL)
    yield Case("Where", ("q", "x", "x"), constants={"q": np.random.default_rng(0).random(FLAT) < 0.5})
    for axis in (0, 1):
        yield Case("CumSum", ("x", "a"), constants={"a": np.array(axis, dtype=np.int64)})
    for op in "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split():
        for axis in (1, 2):
            yield Case(op, ("x", "a"), shape=[64, 32, 32], constants={"a": i64(axis)})
        yield Case(op, ("x", "a"), shape=[64, 1024, 1], constants={"a": i64(2)})
    for op in ("ArgMax", "ArgMin"):
        for axis in (1, 2):
            yield Case(op, shape=[64, 32, 32], axis=axis)
        yield Case(op, shape=[64, 1024, 1], axis=2)
    for width, k in ((16, 1), (256, 1), (256, 16), (256, 128), (256, 256), (16384, 8000), (65536, 65536), (65536, 300)):
        for ordered in (0, 1):
            yield Case("TopK", ("x", "k"), shape=[max(1, 65536 // width), width], constants={"k": i64(k)}, outputs=2, sorted=ordered)
    yield Case("TopK", ("x", "k"), shape=[16, 256, 16], constants={"k": i64(128)}, outputs=2, axis=1)
    yield Case("LayerNormalization", ("x", "s"), constants={"s": np.ones(256)})
    yield Case("LayerNormalization", ("x", "s"), shape=[65536, 1], constants={"s": np.ones(1)})
    yield Case("RMSNormalization", ("x", "s"), constants={"s": np.ones(256)})
    yield Case("MeanVarianceNormalization", shape=IMAGE, axes=[2, 3])
    yield Case("BatchNormalization", ("x", "s", "s", "s", "s"), shape=IMAGE, constants={"s": np.ones(16)})
    yield Case("InstanceNormalization", ("x", "s", "s"), shape=IMAGE, constants={"s": np.ones(16)})
    yield Case("GroupNormalization", ("x", "s", "s"), shape=IMAGE, constants={"s": np.ones(16)}, num_groups=4)
    yield Case("LRN", shape=IMAGE, size=5)
    yield Case("AveragePool", shape=IMAGE, kernel_shape=[3, 3])
    yield Case("MaxPool", shape=IMAGE, kernel_shape=[3, 3])
    yield Case("GlobalAveragePool", shape=IMAGE)
    yield Case("GlobalMaxPool", shape=IMAGE)
    yield Case("Reshape", ("x", "s"), constants={"s": i64(-1, 64)})
    yield Case("Flatten", shape=IMAGE)
    yield Case("Squeeze", ("x", "a"), shape=[256, 256, 1], constants={"a": i64(2)})
    yield Case("Unsqueeze", ("x", "a"), constants={"a": i64(2)})
    yield Case("Transpose", shape=IMAGE, perm=[0, 3, 2, 1])
    yield Case("Transpose", perm=[1, 0])
    yield Case("Transpose", shape=[256, 16, 16, 1, 1], perm=[0, 4, 2, 3, 1])
    yield Case("Concat", ("x", "x"), axis=1)
    yield Case("Concat", ("x", "x"), shape=[65536, 1], axis=1)
    yield Case("Split", outputs=2, axis=1, num_outputs=2)
    yield Case("Split", shape=[65536, 2], outputs=2, axis=1, num_outputs=2)
    yield Case("Expand", ("x", "s"), shape=[256, 1], constants={"s": i64(256, 256)})
    yield Case("Tile", ("x", "s"), constants={"s": i64(1, 4)})
    yield Case("Tile", ("x", "s"), shape=[65536, 1], constants={"s": i64(1, 4)})
    for mode in ("constant", "reflect", "edge"):
        yield Case("Pad", ("x", "p"), constants={"p": i64(0, 2, 0, 2)}, mode=mode)
        yield Case("Pad", ("x", "p"), shape=[32768, 3], constants={"p": i64(0, 1, 0, 1)}, mode=mode)
    yield Case("DepthToSpace", shape=IMAGE, blocksize=2)
    yield Case("SpaceToDepth", shape=IMAGE, blocksize=2)
    yield Case("Trilu", shape=[16, 64, 64])
    yield Case("Slice", ("x", "f", "t", "a"), constants={"f": i64(1), "t": i64(255), "a": i64(1)})
    yield Case("Slice", ("x", "f", "t", "a", "s"), constants={"f": i64(255), "t": i64(-257), "a": i64(1), "s": i64(-1)})
    yield Case("Gather", ("x", "at"), constants={"at": np.arange(256)[::-1].copy()}, axis=1)
    yield Case("GatherElements", ("x", "at"), constants={"at": np.random.default_rng(0).integers(0, 256, FLAT)}, axis=1)
    grid = np.stack(np.meshgrid(np.arange(256), np.random.default_rng(0).permutation(256), indexing="ij"), -1)
    yield Case("GatherND", ("x", "at"), constants={"at": grid})
    yield Case("OneHot", ("x", "d", "v"), shape=[8192], constants={"d": i64(8)[0], "v": np.array([0, 1], dtype=np.float32)}, cast=T.INT64)
    yield Case("QuantizeLinear", ("x", "s", "z"), constants={"s": 0.1, "z": np.array(3, dtype=np.uint8)}, types=(np.float32,))
    yield Case("DequantizeLinear", ("x", "s", "z"), constants={"s": np.float32(0.1), "z": np.array(3, dtype=np.uint8)}, types=(np.float32,), cast=T.UINT8)
    yield Case("DynamicQuantizeLinear", outputs=3, types=(np.float32,))
    yield Case("MatMul", ("x", "w"), constants={"w": np.ones([256, 4])})
    yield Case("MatMul", ("x", "w"), shape=[65536, 1], constants={"w": np.ones([1, 1])})
    yield Case("Gemm", ("x", "w"), constants={"w": np.ones([256, 4])})
    yield Case("MatMulInteger", ("x", "w"), constants={"w": np.ones([256, 4], dtype=np.uint8)}, cast=T.UINT8, types=(np.float32,))
    byte, scale = np.array(0, dtype=np.uint8), np.float32(0.1)
    yield Case("QLinearMatMul", ("x", "s", "z", "w", "s", "z", "s", "z"), constants={"w": np.ones([256, 4], dtype=np.uint8), "s": scale, "z": byte}, cast=T.UINT8, types=(np.float32,))
    yield Case("Conv", ("x", "w"), shape=IMAGE, constants={"w": np.ones([4, 16, 3, 3])})
    yield Case("ConvInteger", ("x", "w"), shape=IMAGE, constants={"w": np.ones([4, 16, 3, 3], dtype=np.uint8)}, cast=T.UINT8, types=(np.float32,))
    yield Case("QLinearConv", ("x", "s", "z", "w", "s", "z", "s", "z"), shape=IMAGE, constants={"w": np.ones([4, 16, 3, 3], dtype=np.uint8), "s": scale, "z": byte}, cast=T.UINT8, types=(np.float32,))
    for op, gates in (("LSTM", 4), ("GRU", 3)):
        wide = {"w": np.ones([1, gates * 4, 64]) * 0.1, "r": np.ones([1, gates * 4, 4]) * 0.1}
        yield Case(op, ("x", "w", "r"), shape=[16, 64, 64], constants=wide, outputs=1, hidden_size=4)
        thin = {"w": np.ones([1, gates * 16, 1]) * 0.1, "r": np.ones([1, gates * 16, 16]) * 0.1}
        yield Case(op, ("x", "w", "r"), shape=[8, 256, 1], constants=thin, outputs=1, hidden_size=16)
    ml = "ai.onnx.ml"
    yield Case("ArrayFeatureExtractor", ("x", "at"), constants={"at": i64(*range(255, -1, -1))}, domain=ml)
    yield Case("ArrayFeatureExtractor", ("c", "x"), shape=[65536], constants={"c": np.arange(8)}, domain=ml, types=(np.int64,), cast=T.INT64)
    vectors = np.random.default_rng(0).standard_normal(16 * 2)
    for kernel in ("LINEAR", "POLY", "RBF", "SIGMOID"):
        svm = dict(kernel_type=kernel, kernel_params=[0.1, 0.2, 2.5], support_vectors=vectors, domain=ml, types=(np.float32,), shape=[4096, 2])
        yield Case("SVMRegressor", coefficients=[0.1] * 16, rho=[0.1], n_supports=16, **svm)
        yield Case("SVMClassifier", coefficients=[0.1] * 16, rho=[0.1], vectors_per_class=[8, 8], classlabels_ints=[0, 1], prob_a=[-1.0], prob_b=[0.1], outputs=2, **svm)
    yield Case("Scaler", domain=ml, offset=[1.0] * 256, scale=[2.0] * 256)
    for norm in ("MAX", "L1", "L2"):
        yield Case("Normalizer", domain=ml, norm=norm)
    yield Case("Imputer", domain=ml, imputed_value_floats=[1.0], replaced_value_float=float("nan"), types=(np.float32,))
    yield Case("FeatureVectorizer", domain=ml, inputdimensions=[256], types=(np.float32,))
    for post in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"):
        yield Case("LinearRegressor", domain=ml, coefficients=[0.1] * 256, targets=1, post_transform=post, types=(np.float32,))
        yield Case("LinearClassifier", domain=ml, coefficients=[0.1] * 512, intercepts=[0.0, 0.1], classlabels_ints=[0, 1], post_transform=post, outputs=2, types=(np.float32,))
    names = dict(keys_int64s=list(range(1000)), values_int64s=list(range(1000)))
    yield Case("LabelEncoder", domain=ml, types=(np.int64,), **names)
    numbers = dict(keys_floats=[float(n) for n in range(1000)], values_floats=[float(n) for n in range(1000)])
    yield Case("LabelEncoder", domain=ml, types=(np.float32,), **numbers)
    leaf = dict(nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0], nodes_featureids=[0, 0, 0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_nodeids=[0, 1, 2], nodes_treeids=[0, 0, 0], nodes_values=[0.1, 0.0, 0.0])
    yield Case("TreeEnsembleRegressor", domain=ml, shape=[65536, 1], n_targets=1, target_ids=[0, 0], target_nodeids=[1, 2], target_treeids=[0, 0], target_weights=[0.5, 1.0], types=(np.float32,), **leaf)
    yield Case("TreeEnsembleClassifier", domain=ml, shape=[65536, 1], classlabels_int64s=[0, 1], class_ids=[0, 1], class_nodeids=[1, 2], class_treeids=[0, 0], class_weights=[0.5, 1.0], outputs=2, types=(np.float32,), **leaf)


def session(case, kind):
    constants = []
    for name, value in case.constants.items():
        value = np.asarray(value)
        keep = value.dtype.kind in "iub" or (value.dtype == np.float32 and name != "c")
        if value.ndim == 0 and name == "c" or not keep:
            value = value.astype(kind)
        constants.append(nh.from_array(value, name))
    takes = case.cast or ONNX[kind]
    outputs = [f"y{i}" for i in range(case.outputs)]
    node = h.make_node(case.op, list(case.inputs), outputs, domain=case.domain, **case.attributes)
    graph = h.make_graph([node], "g", [h.make_tensor_value_info("x", takes, case.shape)], [h.make_empty_tensor_value_info(o) for o in outputs], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid("", OPSET), h.make_opsetid("ai.onnx.ml", 3)], ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def feed(case, kind, sort, random):
    count = math.prod(case.shape)
    floats = np.float32 if np.dtype(kind).kind in "iu" else kind
    with np.errstate(all="ignore"):
        values = SORTS[sort](random, count, floats).astype(kind if case.cast is None else np.float64)
        if case.cast is not None:
            values = np.nan_to_num(values, posinf=3, neginf=-3)
            if case.cast != T.BOOL:
                values = np.clip(values, 0, 7)
            values = values.astype({T.BOOL: np.bool_, T.INT64: np.int64, T.UINT8: np.uint8}[case.cast])
    return values.reshape(case.shape)


def measure(case, kind):
    """Nanoseconds a value, by sort; nothing where there is no kernel."""
    try:
        run = session(case, kind)
        run.run(None, {"x": feed(case, kind, "zero", np.random.default_rng(1))})
    except Exception as error:
        return None, str(error).splitlines()[0]
    random, found = np.random.default_rng(1), {}
    for sort in SORTS:
        x = feed(case, kind, sort, random)
        try:
            made = run.run(None, {"x": x})
        except Exception as error:
            print(f"# {case.op} ends a run on {sort}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        values = max(x.size * case.inputs.count("x"), sum(np.size(y) for y in made))
        best = math.inf
        for _ in range(5):
            start = time.perf_counter()
            run.run(None, {"x": x})
            best = min(best, time.perf_counter() - start)
        found[sort] = best / values * 1e9
    return found, None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    worst, failed, seen = {}, {}, set()
    for case in cases():
        if only and case.op not in only:
            continue
        for kind in case.types:
            found, error = measure(case, kind)
            where = (case.op, np.dtype(kind).itemsize == 8)
            if found is None:
                failed.setdefault(where, error)
                continue
            seen.add(where)
            worst[where] = max(worst.get(where, 0), max(found.values()))
            if not args.table:
                line = " ".join(f"{sort} {ns:.2f}" for sort, ns in found.items())
                print(f"{case.op:26} {np.dtype(kind).name:8} {line}", flush=True)
    if args.table:
        ops = lambda ns: max(1, 2 ** math.ceil(math.log2(2 * 2 * ns)))
        source = (Path(__file__).parent.parent / "sandbox/src/onnx/prove/operators.rs").read_text()
        for _, name in re.findall(r'op\(\s*(""|ML),\s*"(\w+)"', source):
            single, double = worst.get((name, False)), worst.get((name, True))
            if single is None and double is None:
                print(f"// {name} was not timed")
                continue
            single, double = single or double, double or single
            print(f'    cost("{name}", {ops(single)}, {ops(double)}), // {single:.2f} and {double:.2f} ns')
    for where, error in failed.items():
        if where not in seen:
            print(f"# {where}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
