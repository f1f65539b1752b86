"""Files as others' tools write them (all types, codecs, page versions, text as people have it) are published; each column of the copy that jobs read is what
its writer put there, or is refused by name: python interop/files TIDEGATE FOLDER PART…"""
import importlib, shutil, sys

import checks

shutil.rmtree(checks.folder, ignore_errors=True)
checks.folder.mkdir(parents=True)
by = []
for part in sys.argv[3:]:
    by.append(importlib.import_module(f"by_{part}").write())
    print(f"{part}: {checks.counts['files']} files so far", flush=True)
print(f"{checks.counts['files']} files of {', '.join(by)}: {checks.counts['columns']} columns read as they were written, "
      f"{checks.counts['refused']} refused by name, {len(checks.failed)} failed")
sys.exit(1 if checks.failed else 0)
