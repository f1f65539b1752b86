"""What R's arrow package writes."""
import datetime, subprocess

from checks import ROWS, check, fail, folder, person

SCRIPT = """
library(arrow)
i <- as.integer((0:(ROWS - 1) * 37) %% ROWS)
frame <- data.frame(person = i, n = i, f = i / 4, flag = i %% 2 == 0, t = paste0("p", i), c = factor(paste0("a", i %% 3)),
  day = as.Date("2021-01-01") + i, w = as.POSIXct("2021-05-01 10:00:00", tz = "UTC") + i)
folder <- commandArgs(TRUE)[1]
for (codec in c("uncompressed", "snappy", "gzip", "zstd")) write_parquet(frame, file.path(folder, paste0("r-", codec, ".parquet")), compression = codec)
write_feather(frame, file.path(folder, "r.feather"))
write_ipc_stream(frame, file.path(folder, "r.arrows"))
write_csv_arrow(frame, file.path(folder, "r.csv"))
cat(as.character(packageVersion("arrow")))
"""


def write():
    script = folder / "r.R"
    script.write_text(SCRIPT.replace("ROWS", str(ROWS)))
    done = subprocess.run(["Rscript", script, folder], capture_output=True, text=True)
    if done.returncode != 0:
        fail("R", done.stderr[-500:])
    first = datetime.datetime(2021, 5, 1, 10)
    want = {"n": person, "f": [i / 4 for i in person], "flag": [i % 2 == 0 for i in person], "t": [f"p{i}" for i in person], "c": [f"a{i % 3}" for i in person],
            "day": [datetime.date(2021, 1, 1) + datetime.timedelta(i) for i in person], "w": [first + datetime.timedelta(seconds=i) for i in person]}
    for name in ("r-uncompressed.parquet", "r-snappy.parquet", "r-gzip.parquet", "r-zstd.parquet", "r.feather", "r.arrows", "r.csv"):
        check(name, folder / name, want)
    return f"R arrow {done.stdout.strip()}"
