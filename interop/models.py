"""Models that today's packages train and export, over rows that they have seen: models.py TIDEGATE FOLDER. `inspect` must give the verdict that is written beside each; those that are
taken are rehearsed, and what comes of all rows is what the package itself says of them, within the noise."""
import json, pathlib, subprocess, sys, warnings

warnings.filterwarnings("ignore")
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

binary, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
folder.mkdir(parents=True, exist_ok=True)
COLUMNS = ["age", "income", "visits", "score"]
draw = np.random.default_rng(11)
N = 240
X = draw.normal(size=(N, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] * X[:, 2] + draw.normal(size=N) * 0.2 > 0.3).astype(np.int64)
R = (2 * X[:, 0] - X[:, 3]).astype(np.float32)
POLICY = """unit = { column = "person", max_units = 1000, max_rows = 5, max_groups = 1 }
budget = { delta = 1e-9, rho = 1e6, per_buyer_rho = 1e6 }
jobs = { kinds = ["onnx"], min_units = 10, fuel = 2000000000, memory_mib = 64, slot = "1000s", tick = "1s" }
models = { mixing = false, gflops = 10, memory_mib = 256, threads = 2 }
access = { compute = "granted", replicate = "nobody" }
columns = { age = {}, income = {}, visits = {}, score = {} }
"""
JOB = """dataset = "%s"
rho = 5e5
[onnx]
model = "%s"
select = "SELECT age, income, visits, score FROM dataset"
output = "%s"
index = %d
reduce = "mean"
outputs = [{ name = "sum", lo = -16, hi = 16, reducer = "sum", default = 0 }]
"""
INDEPENDENT, MIXING, REJECT = "row-independent", "per-unit-only", "reject"


def scikit():
    """Each: a name, the model exported, the output and which of its numbers, what the package says, the verdict."""
    from skl2onnx import to_onnx
    from sklearn import ensemble, linear_model, neighbors, neural_network, pipeline, preprocessing, svm

    classes = {"logistic": linear_model.LogisticRegression(), "forest": ensemble.RandomForestClassifier(20, max_depth=5, random_state=0), "boosting": ensemble.GradientBoostingClassifier(n_estimators=20),
               "network": neural_network.MLPClassifier((16,), max_iter=200, random_state=0), "neighbours": neighbors.KNeighborsClassifier(5), "svc": svm.SVC(probability=True),
               "scaled": pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())}
    for name, model in classes.items():
        model.fit(X, Y)
        yield f"sklearn {name}", to_onnx(model, X[:1], options={"zipmap": False}), "probabilities", 1, model.predict_proba(X)[:, 1], INDEPENDENT
    model = classes["forest"]
    yield "sklearn forest with ZipMap", to_onnx(model, X[:1]), "output_probability", 1, model.predict_proba(X)[:, 1], INDEPENDENT
    for name, model in {"ridge": linear_model.Ridge(), "forest regression": ensemble.RandomForestRegressor(20, max_depth=5, random_state=0)}.items():
        yield f"sklearn {name}", to_onnx(model.fit(X, R), X[:1]), "variable", 0, model.predict(X), INDEPENDENT


def boosters():
    import catboost, lightgbm, onnxmltools, xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    takes = [("X", FloatTensorType([None, 4]))]
    model = lightgbm.LGBMClassifier(n_estimators=20, num_leaves=7, verbose=-1).fit(X, Y)
    yield "LightGBM", onnxmltools.convert_lightgbm(model, initial_types=takes, zipmap=False), "probabilities", 1, model.predict_proba(X)[:, 1], INDEPENDENT
    model = lightgbm.LGBMRegressor(n_estimators=20, num_leaves=7, verbose=-1).fit(X, R)
    yield "LightGBM regression", onnxmltools.convert_lightgbm(model, initial_types=takes), "variable", 0, model.predict(X), INDEPENDENT
    model = xgboost.XGBClassifier(n_estimators=20, max_depth=3).fit(X, Y)
    yield "XGBoost", onnxmltools.convert_xgboost(model, initial_types=takes), "probabilities", 1, model.predict_proba(X)[:, 1], INDEPENDENT
    model = xgboost.XGBRegressor(n_estimators=20, max_depth=3).fit(X, R)
    yield "XGBoost regression", onnxmltools.convert_xgboost(model, initial_types=takes), "variable", 0, model.predict(X), INDEPENDENT
    model = catboost.CatBoostClassifier(iterations=20, depth=3, verbose=0, allow_writing_files=False).fit(X, Y)
    path = folder / "catboost.onnx"
    model.save_model(path, format="onnx")
    yield "CatBoost", path.read_bytes(), "probabilities", 1, model.predict_proba(X)[:, 1], INDEPENDENT


def by_hand():
    """Those that are not to be run over all rows at once: one that mixes rows, one that reads a file, and one of a form that is not known."""
    import onnx
    from onnx import TensorProto, helper

    takes, gives = helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 4]), helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])
    opset = [helper.make_opsetid("", 17)]
    mixes = [helper.make_node("ReduceMean", ["X"], ["mean"], axes=[0], keepdims=1), helper.make_node("Sub", ["X", "mean"], ["y"])]
    yield "centred over all rows", helper.make_model(helper.make_graph(mixes, "g", [takes], [gives]), opset_imports=opset, ir_version=10), "y", 0, None, MIXING
    newer = helper.make_graph([helper.make_node("Neg", ["X"], ["y"])], "g", [takes], [gives])
    yield "a form of tomorrow", helper.make_model(newer, opset_imports=opset, ir_version=99), "y", 0, None, REJECT
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="/etc/hostname")
    reads = helper.make_graph([helper.make_node("Add", ["X", "w"], ["y"])], "g", [takes], [gives], [weight])
    yield "weights of a file of the machine", helper.make_model(reads, opset_imports=opset, ir_version=10), "y", 0, None, REJECT


# What a refusal must say.
SAYS = {"a form of tomorrow": "model.ir_version = ", "weights of a file of the machine": "/etc/hostname"}


def tidegate(*args):
    return subprocess.run([str(binary), *map(str, args)], capture_output=True, text=True)


def wrong(name, model, output, index, expected, verdict):
    """What is wrong with a model's verdict or numbers; nothing where all is right."""
    path, job = folder / "model.onnx", folder / "job.toml"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    told = tidegate("inspect", path, "--json")
    try:
        seen = json.loads(told.stdout)
    except json.JSONDecodeError:
        seen = {}
    one = next((one for one in seen.get("outputs", []) if one["name"] == output), {})
    found = one.get("verdict", seen.get("verdict", REJECT if told.returncode == 1 else None))
    if found != verdict:
        return f"verdict {found} for {verdict}: {(told.stdout + told.stderr)[:600]}"
    if SAYS.get(name, "") not in told.stdout + told.stderr:
        return f"{SAYS[name]!r} is not said: {(told.stdout + told.stderr)[:600]}"
    if expected is None:
        return None
    job.write_text(JOB % ("0" * 64, path, output, index))
    done = tidegate("rehearse", job, "--policy", folder / "policy.toml", "--mock", folder / "rows.parquet", "--json")
    if done.returncode != 0:
        return (done.stdout + done.stderr)[:600]
    released = json.loads(done.stdout)["result"]["rows"][0]["cells"][0]
    total, noise = float(np.sum(np.asarray(expected, dtype=np.float64))), released["high"] - released["value"]
    # Thrice the interval's half, and what 32 bits and the gate's grid leave of each row.
    if abs(released["value"] - total) > 3 * noise + N * 2e-4:
        return f"{released['value']} for {total}, give or take {noise}"
    return None


(folder / "policy.toml").write_text(POLICY)
pq.write_table(pa.table({"person": np.arange(N)} | {column: X[:, i] for i, column in enumerate(COLUMNS)}), folder / "rows.parquet")
failed, count = [], 0
for part in (scikit, boosters, by_hand):
    for name, *about in part():
        count += 1
        what = wrong(name, *about)
        if what:
            failed.append(name)
            print(f"FAILED {name}: {what}", flush=True)
print(f"{count} models of scikit-learn, LightGBM, XGBoost, CatBoost and by hand: the verdicts that they must have, and their packages' own predictions; {len(failed)} failed")
sys.exit(1 if failed else 0)
