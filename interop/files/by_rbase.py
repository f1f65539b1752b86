"""What R itself writes: tables as text in its several ways, and its own formats, which nothing else reads."""
import datetime, subprocess

from checks import ROWS, check, fail, folder, person, refused

SCRIPT = """
i <- as.integer((0:(ROWS - 1) * 37) %% ROWS)
missing <- function(x) { x[i %% 5 == 4] <- NA; x }
frame <- data.frame(person = i, n = missing(i * 100000), f = missing(i / 4 - 3), flag = missing(i %% 2 == 0), t = paste0("a \\"b\\", ", i), c = factor(paste0("a", i %% 3)),
  day = missing(as.Date("2021-01-01") + i), w = as.POSIXct("2021-05-01 10:00:00", tz = "UTC") + i)
folder <- commandArgs(TRUE)[1]
at <- function(name) file.path(folder, name)
write.csv(frame, at("r-plain.csv"), row.names = FALSE)
write.csv(frame, at("r-rows.csv"))
write.csv(frame, at("r-empty.csv"), row.names = FALSE, na = "")
write.csv(frame, gzfile(at("r-packed.csv.gz")), row.names = FALSE)
write.csv(frame, xzfile(at("r-packed.csv.xz")), row.names = FALSE)
write.csv(frame, at("r-wide.csv"), row.names = FALSE, fileEncoding = "UTF-16")
write.csv2(frame, at("r-comma.csv"), row.names = FALSE)
write.table(frame, at("r-tab.tsv"), sep = "\\t", row.names = FALSE, qmethod = "double")
write.table(frame, at("r-short.tsv"), sep = "\\t", qmethod = "double")
for (how in c("gzip", "bzip2", "xz")) saveRDS(frame, at(paste0("r-", how, ".rds")), compress = how)
saveRDS(frame, at("r-none.rds"), compress = FALSE)
saveRDS(frame, at("r-text.rds"), ascii = TRUE, compress = FALSE)
saveRDS(frame, at("r-misnamed.csv"))
save(frame, file = at("r.RData"))
save(frame, file = at("r-text.rda"), ascii = TRUE, compress = FALSE)
cat(as.character(getRversion()))
"""


def write():
    script = folder / "r.R"
    script.write_text(SCRIPT.replace("ROWS", str(ROWS)))
    done = subprocess.run(["Rscript", "--vanilla", script, folder], capture_output=True, text=True)
    if done.returncode != 0:
        fail("R", done.stderr[-500:])
    some = lambda of: [None if i % 5 == 4 else of(i) for i in person]
    want = {"n": some(lambda i: i * 100000), "f": some(lambda i: i / 4 - 3), "flag": some(lambda i: i % 2 == 0), "t": [f'a "b", {i}' for i in person], "c": [f"a{i % 3}" for i in person],
            "day": some(lambda i: datetime.date(2021, 1, 1) + datetime.timedelta(i)), "w": [datetime.datetime(2021, 5, 1, 10) + datetime.timedelta(seconds=i) for i in person]}
    for name in ("r-plain.csv", "r-rows.csv", "r-empty.csv", "r-packed.csv.gz", "r-packed.csv.xz", "r-wide.csv", "r-tab.tsv"):
        check(name, folder / name, want)
    check("r-comma.csv", folder / "r-comma.csv", want, read='[read]\ndecimal = ","\n')
    # Its header lacks a name for the names of rows.
    refused("r-short.tsv", folder / "r-short.tsv")
    for name in ("r-gzip.rds", "r-bzip2.rds", "r-xz.rds", "r-none.rds", "r-text.rds", "r-misnamed.csv", "r.RData", "r-text.rda"):
        refused(name, folder / name, "R's", "write.csv")
    return f"R {done.stdout.strip()}"
