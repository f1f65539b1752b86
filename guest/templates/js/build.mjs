import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const { component } = await componentize({ sourcePath: "app.js", witPath: "wit/job.wit", worldName: "job", disableFeatures: ["http", "fetch-event"] });
await writeFile("job.wasm", component);
