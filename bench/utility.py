#!/usr/bin/env python3
"""Error at equal privacy: tidegate against OpenDP (polars), PipelineDP and SmartNoise SQL on the same generated data.

usage: utility.py BINARY [TIMES…]   (in an environment with opendp[polars], pipeline-dp or smartnoise-sql; what is not installed is said and left out)

2000 people, each once in two of ten groups, so that no library has to drop a row. Asked: the number of people and the sum of a value in [0, 100], by
group, M times over, for epsilon = 1 at delta = 1e-6 in all. Each library splits that over its releases by its own accountant and noise; the best it offers
counts. Printed: the root mean square error of each, and tidegate's as a ratio to the best of the others. Everything is in one run. Where a library states the
standard deviation of its noise, that is printed too: what was sampled varies by some per cent.

Then the mean of a value over people of whom few have very many rows (Pareto's law), where so many rows of each count: bias and spread around the exact mean of all rows, nothing
clipped, for the same epsilon and delta. `utility.py BINARY rows` measures that alone.
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

EPSILON, DELTA = 1.0, 1e-6
GROUPS, PEOPLE = 10, 2000
KAPPA, HIGH = 2, 100.0
RUNS = 100
# A release takes OpenDP's query builder seconds.
OPENDP_RUNS = 20

random.seed(7)
ROWS = [(p, (p * 7 + k) % GROUPS, random.random() * HIGH) for p in range(PEOPLE) for k in range(KAPPA)]
TRUE = {g: (sum(1 for r in ROWS if r[1] == g), sum(r[2] for r in ROWS if r[1] == g)) for g in range(GROUPS)}

POLICY = """
unit = { column = "person", max_units = 5000, max_rows = 1, max_groups = 2 }
# The owner's delta is halved: one half is for thresholds, which declared groups do not need.
budget = { delta = 2e-6, epsilon = 50.0, per_buyer_epsilon = 50.0, laplace_epsilon = 2.0, per_buyer_laplace_epsilon = 2.0 }
jobs = { kinds = ["sql"], min_units = 1, fuel = 1000000, memory_mib = 16, slot = "60s", tick = "1s" }
access = { compute = "granted", replicate = "nobody" }
columns = { region = {}, spend = { lo = 0, hi = 100 } }
"""


def errors(released):
    """RMSE of counts and of sums over runs of {group: (count, sum)}."""
    squares = [[], []]
    for run in released:
        for group, true in TRUE.items():
            for i in (0, 1):
                squares[i].append((run[group][i] - true[i]) ** 2)
    return [math.sqrt(sum(s) / len(s)) for s in squares]


def tidegate(binary, times):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rows.csv").write_text("person,region,spend\n" + "".join(f"{p},{g},{v}\n" for p, g, v in ROWS))
        (folder / "policy.toml").write_text(POLICY)
        keys = json.dumps([[g] for g in range(GROUPS)])
        query = "SELECT region, COUNT(DISTINCT person) AS n, SUM(spend) AS s FROM dataset GROUP BY region"

        def job(price):
            (folder / "job.toml").write_text(f'dataset = "d"\n{price}\n[sql]\nquery = "{query}"\nkeys = {keys}\n')

        def call(*args):
            command = [binary, "--home", folder / "home", *args, "--policy", folder / "policy.toml", "--json"]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        # What epsilon is worth in rho, and an M-th of it.
        job(f"epsilon = {EPSILON}")
        cost = json.loads(call("check", folder / "job.toml", "--rows", folder / "rows.csv"))["cost"]
        prices = {"Gaussian": f"rho = {cost['rho_micro'] / 1e6 / times}", "Laplace": f'epsilon = {EPSILON / times}\nnoise = "laplace"'}
        for noise, price in prices.items():
            job(price)
            lines = call("gate", "sample", folder / "job.toml", "--data", folder / "rows.csv", "--runs", str(RUNS)).splitlines()
            rows = ([(r["key"][0], r["cells"]) for r in json.loads(line)["rows"]] for line in lines)
            found = errors([{key: (cells[0]["value"], cells[1]["value"]) for key, cells in run} for run in rows])
            columns = json.loads(call("check", folder / "job.toml", "--rows", folder / "rows.csv"))["mechanism"]["columns"]
            yield noise, found, [column["deviation"][0] for column in columns]


def opendp(times):
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib")
    frame = pl.DataFrame(ROWS, schema={"person": pl.Int64, "region": pl.Int64, "spend": pl.Float64}, orient="row").lazy()

    bound = [dp.polars.Bound(by=[], per_group=KAPPA), dp.polars.Bound(by=["region"], per_group=1, num_groups=KAPPA)]
    keys = pl.LazyFrame({"region": list(range(GROUPS))}, schema={"region": pl.Int64})

    stated = []

    def released(loss):
        for _ in range(OPENDP_RUNS):
            context = dp.Context.compositor(
                data=frame,
                privacy_unit=dp.unit_of(contributions=bound),
                privacy_loss=dp.loss_of(**loss),
                split_evenly_over=times,
                margins=[dp.polars.Margin(by=["region"], max_groups=GROUPS, max_length=PEOPLE)],
            )
            spend = pl.col("spend").fill_null(0.0).fill_nan(0.0).dp.sum((0.0, HIGH))
            grouped = context.query().group_by("region").agg(dp.len().alias("n"), spend.alias("s")).with_keys(keys)
            stated[:] = [row["scale"] * (math.sqrt(2) if "Laplace" in row["distribution"] else 1) for row in grouped.summarize().iter_rows(named=True)]
            table = grouped.release().collect()
            yield {row["region"]: (row["n"], row["s"]) for row in table.iter_rows(named=True)}

    # The rho that is worth epsilon at delta, by OpenDP's own conversion.
    low, high = 0.0, EPSILON
    for _ in range(40):
        rho = (low + high) / 2
        gauss = dp.m.make_gaussian(dp.atom_domain(T=int), dp.absolute_distance(T=int), scale=1e6 / math.sqrt(2 * rho))
        profile = dp.c.make_zCDP_to_approxDP(gauss).map(1_000_000)
        low, high = (rho, high) if profile.epsilon(DELTA) <= EPSILON else (low, rho)
    yield "OpenDP, Gaussian", errors(list(released({"rho": low}))), stated
    yield "OpenDP, Laplace", errors(list(released({"epsilon": EPSILON}))), stated


def pipelinedp(times):
    import pipeline_dp as dp

    def released(noise):
        extract = dp.DataExtractors(
            privacy_id_extractor=lambda r: r[0], partition_extractor=lambda r: r[1], value_extractor=lambda r: r[2]
        )
        params = dp.AggregateParams(
            noise_kind=noise,
            metrics=[dp.Metrics.PRIVACY_ID_COUNT, dp.Metrics.SUM],
            max_partitions_contributed=KAPPA,
            max_contributions_per_partition=1,
            min_value=0,
            max_value=HIGH,
        )
        for _ in range(RUNS):
            accountant = dp.NaiveBudgetAccountant(total_epsilon=EPSILON / times, total_delta=DELTA / times)
            engine = dp.DPEngine(accountant, dp.LocalBackend())
            result = engine.aggregate(ROWS, params, extract, public_partitions=list(range(GROUPS)))
            accountant.compute_budgets()
            yield {group: (values.privacy_id_count, values.sum) for group, values in result}

    yield "PipelineDP, Gaussian", errors(list(released(dp.NoiseKind.GAUSSIAN))), None
    yield "PipelineDP, Laplace", errors(list(released(dp.NoiseKind.LAPLACE))), None


def smartnoise(times):
    import pandas
    import snsql

    frame = pandas.DataFrame(ROWS, columns=["person", "region", "spend"])
    table = {
        "max_ids": KAPPA, "censor_dims": False, "clamp_counts": False, "row_privacy": False,
        "person": {"type": "int", "private_id": True}, "region": {"type": "int"},
        "spend": {"type": "float", "lower": 0.0, "upper": HIGH},
    }
    # It charges each column by itself.
    privacy = snsql.Privacy(epsilon=EPSILON / times / 2, delta=DELTA / times / 2)
    reader = snsql.from_df(frame, privacy=privacy, metadata={"": {"main": {"t": table}}})
    query = "SELECT region, COUNT(DISTINCT person) AS n, SUM(spend) AS s FROM main.t GROUP BY region"
    released = ({row[0]: (row[1], row[2]) for row in reader.execute(query)[1:]} for _ in range(RUNS))
    yield "SmartNoise SQL", errors(list(released)), None


# Rows a person: Pareto's law with exponent 1.2. Values about 10, somewhat higher of people with many rows.
MOST = 500
TAIL = random.Random(11)
VISITS = []
for person in range(PEOPLE):
    rows = min(MOST, int(TAIL.paretovariate(1.2)))
    own = 9 + 0.3 * math.log(rows) + TAIL.gauss(0, 2)
    VISITS += [(person, min(HIGH, max(0.0, TAIL.gauss(own, 3)))) for _ in range(rows)]
MEAN = sum(v for _, v in VISITS) / len(VISITS)
MEAN_RUNS = 40


def mean_tidegate(binary, most):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rows.csv").write_text("person,spend\n" + "".join(f"{p},{v}\n" for p, v in VISITS))
        policy = POLICY.replace("max_rows = 1, max_groups = 2", f"max_rows = {most}, max_groups = 1").replace("region = {}, ", "")
        (folder / "policy.toml").write_text(policy)
        for noise, price in {"Gaussian": f"epsilon = {EPSILON}", "Laplace": f'epsilon = {EPSILON}\nnoise = "laplace"'}.items():
            (folder / "job.toml").write_text(f'dataset = "d"\n{price}\n[sql]\nquery = "SELECT AVG(spend) AS m FROM dataset"\n')
            command = [binary, "--home", folder / "home", "gate", "sample", folder / "job.toml", "--data", folder / "rows.csv"]
            command += ["--policy", folder / "policy.toml", "--runs", str(MEAN_RUNS), "--json"]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
            yield f"tidegate, {noise}", [json.loads(line)["rows"][0]["cells"][0]["value"] for line in lines]


def mean_opendp(_, most):
    import opendp.prelude as dp
    import polars as pl

    dp.enable_features("contrib")
    frame = pl.DataFrame(VISITS, schema={"person": pl.Int64, "spend": pl.Float64}, orient="row").lazy()

    def released(loss):
        context = dp.Context.compositor(
            data=frame,
            privacy_unit=dp.unit_of(contributions=1, identifier=pl.col("person")),
            privacy_loss=dp.loss_of(**loss),
            split_evenly_over=1,
            margins=[dp.polars.Margin(by=[], max_length=len(VISITS))],
        )
        spend = pl.col("spend").fill_null(0.0).fill_nan(0.0).dp.sum((0.0, HIGH))
        table = context.query().truncate_per_group(most).select(dp.len().alias("n"), spend.alias("s")).release().collect()
        return table["s"][0] / max(table["n"][0], 1)

    yield "OpenDP, Laplace", [released({"epsilon": EPSILON}) for _ in range(OPENDP_RUNS)]
    yield "OpenDP, Gaussian", [released({"epsilon": EPSILON, "delta": DELTA}) for _ in range(OPENDP_RUNS)]


def mean_pipelinedp(_, most):
    import pipeline_dp as dp

    def released(noise):
        params = dp.AggregateParams(
            noise_kind=noise,
            metrics=[dp.Metrics.MEAN],
            max_partitions_contributed=1,
            max_contributions_per_partition=most,
            min_value=0,
            max_value=HIGH,
        )
        extract = dp.DataExtractors(privacy_id_extractor=lambda r: r[0], partition_extractor=lambda r: 0, value_extractor=lambda r: r[1])
        accountant = dp.NaiveBudgetAccountant(total_epsilon=EPSILON, total_delta=DELTA)
        result = dp.DPEngine(accountant, dp.LocalBackend()).aggregate(VISITS, params, extract, public_partitions=[0])
        accountant.compute_budgets()
        return next(iter(result))[1].mean

    yield "PipelineDP, Gaussian", [released(dp.NoiseKind.GAUSSIAN) for _ in range(MEAN_RUNS)]
    yield "PipelineDP, Laplace", [released(dp.NoiseKind.LAPLACE) for _ in range(MEAN_RUNS)]


def mean_smartnoise(_, most):
    import pandas
    import snsql

    frame = pandas.DataFrame(VISITS, columns=["person", "spend"])
    table = {
        "max_ids": most, "censor_dims": False, "clamp_counts": False, "row_privacy": False,
        "person": {"type": "int", "private_id": True}, "spend": {"type": "float", "lower": 0.0, "upper": HIGH},
    }
    # It charges the sum and the count that a mean is made of apart.
    privacy = snsql.Privacy(epsilon=EPSILON / 2, delta=DELTA / 2)
    reader = snsql.from_df(frame, privacy=privacy, metadata={"": {"main": {"t": table}}})
    yield "SmartNoise SQL", [reader.execute("SELECT AVG(spend) AS m FROM main.t")[1][0] for _ in range(MEAN_RUNS)]


def means(binary):
    """Bias and spread of a mean, by how many rows of a person count."""
    rows = [sum(1 for p, _ in VISITS if p == person) for person in range(PEOPLE)]
    print(f"{len(VISITS)} rows of {PEOPLE} people, {max(rows)} of one; their mean is {MEAN:.3f}: bias, spread and RMSE")
    for most in (1, 2, 5, 20, 100, max(rows)):
        print(f"at most {most} rows of a person, which is {sum(min(most, r) for r in rows) / len(VISITS):.0%} of all")
        for library in (mean_tidegate, mean_opendp, mean_pipelinedp, mean_smartnoise):
            try:
                for name, found in library(binary, most):
                    bias = sum(found) / len(found) - MEAN
                    spread = math.sqrt(sum((v - MEAN - bias) ** 2 for v in found) / (len(found) - 1))
                    print(f"  {name}: {bias:+.3f}, {spread:.3f}, {math.hypot(bias, spread):.3f}", flush=True)
            except ImportError as missing:
                print(f"  {library.__name__.removeprefix('mean_')}: not installed ({missing})")


def show(name, found, stated):
    noise = f"; its noise, as stated: {stated[0]:.2f}, {stated[1]:.1f}" if stated else ""
    print(f"  {name}: {found[0]:.1f}, {found[1]:.0f}{noise}", flush=True)


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    if sys.argv[2:] == ["rows"]:
        return means(binary)
    for times in map(int, sys.argv[2:] or (1, 8, 64)):
        print(f"{times} times: RMSE of counts, of sums")
        ours, others = [], []
        for noise, found, stated in tidegate(binary, times):
            show(f"tidegate, {noise}", found, stated)
            ours.append(found)
        best = [min(found[i] for found in ours) for i in (0, 1)]
        for library in (opendp, pipelinedp, smartnoise):
            try:
                for name, found, stated in library(times):
                    show(name, found, stated)
                    others.append(found)
            except ImportError as missing:
                print(f"  {library.__name__}: not installed ({missing})")
        if others:
            print(f"  tidegate to the best of them: {best[0] / min(o[0] for o in others):.2f}, {best[1] / min(o[1] for o in others):.2f}")
    means(binary)


if __name__ == "__main__":
    main()
