//! Every limit on what a peer may send or ask, with its reason. Docs link here and never repeat a number.

/// Longest log entry in bytes: C2SP tlog-tiles prefixes an entry with a 16-bit length.
pub const ENTRY_BYTES: usize = 65_535;

/// Longest request in bytes: a signed document and a grant, and some room. Anybody may send one.
pub const REQUEST_BYTES: usize = 128 << 10;

/// Longest reply in bytes. A result of 100 000 groups fits; the peer that was asked cannot make us allocate more than this at once.
pub const FRAME_BYTES: usize = 32 << 20;

/// Most bytes of a result's rows as JSON: base64-coded, with a receipt, they fit a reply.
pub const RESULT_BYTES: usize = 20 << 20;

/// Bytes of a document that an INTENT leaves free, so that its OUTCOME, which says the same and how it ended, fits too.
pub const OUTCOME_BYTES: usize = 1024;

/// Longest signed document in bytes: a document must fit, base64-coded, in one log entry beside its envelope.
pub const DOCUMENT_BYTES: usize = 40 << 10;

/// Largest program attachment (WebAssembly component and the data beside it, or ONNX model) in bytes. Held in memory while it is compiled.
pub const PROGRAM_BYTES: usize = 64 << 20;

/// Most nodes, attributes, tensors and other parts of a model. Two bytes of it may be a part, which takes a hundred times as much memory once it is read.
pub const MODEL_PARTS: usize = 1 << 18;

/// Most nodes of a model's graph. The runtime's optimizer takes more than linear time over them.
pub const MODEL_NODES: usize = 1 << 14;

/// Largest tensor of a model in bytes, at one row; and most bytes of all that it computes in one run: they lie in a runner's memory.
pub const TENSOR_BYTES: u64 = 256 << 20;

/// Most bytes of all tensors that a model computes in one run, and of what its kernels need beside them, whatever a policy says.
pub const MODEL_BYTES: u64 = 1 << 30;

/// Most operations of a model for one row: more would be no row's score, but a way to burn an owner's machine.
pub const MODEL_WORK: u64 = 1 << 40;

/// Most rows that a model which may mix them takes in one run. A unit or block with more has the default, as has one with more than
/// [`MODEL_BYTES`] or [`MODEL_WORK`] are enough for.
pub const MODEL_ROWS: u32 = 1 << 16;

/// Most functions of a component, and most bytes of one of them. Compilers take more than linear time over a function.
pub const FUNCTIONS: usize = 100_000;
/// See [`FUNCTIONS`].
pub const FUNCTION_BYTES: usize = 1 << 20;

/// How long a component may take to compile, in seconds: it holds a job's place, and nobody has paid yet.
pub const COMPILE_SECONDS: u64 = 60;

/// Most attachments that lie in a node's memory at the same time, whoever sent them: twice the jobs that run.
pub const ATTACHMENTS: usize = 8;

/// Most jobs that wait for an owner's approval. Each is a file on the owner's disk, of a buyer who holds a grant.
pub const PENDING: usize = 256;

/// Of those, one buyer's: none can keep the others away.
pub const PENDING_PER_BUYER: usize = 16;

/// Most bytes of the public tables of a job that waits: an owner is to read them.
pub const PENDING_BYTES: usize = 4 << 20;

/// Longest SQL text in bytes. The planner recurses over the text; short text bounds the depth it can reach.
pub const SQL_BYTES: usize = 16 << 10;

/// Deepest nesting of brackets in SQL text. Checked before parsing, because the parser itself recurses.
pub const SQL_DEPTH: usize = 48;

/// Most operators in one SQL text: chains of `a+b+…` recurse in the planner though no bracket nests.
pub const SQL_OPERATORS: usize = 400;

/// Most nodes of one expression once the subqueries that it names are put in their place: nested ones could double it again and again.
pub const SQL_NODES: usize = 4000;

/// Up to so many groups a quantile is found among 4096 steps of its range, else among 256: each step is a number in the worker's memory.
pub const FINE_GROUPS: usize = 64;

/// Most bytes of one group's numbers where nobody knows how many groups there will be.
pub const GROUP_BYTES: usize = 64 << 10;

/// Most bytes of all groups' numbers where public numbers say how many there are. Each thread has a copy.
pub const GROUPS_BYTES: usize = 64 << 20;

/// Most keys of one GROUP BY: each may be a text of [`TEXT_CHARS`] in every row of a batch.
pub const KEYS: usize = 8;

/// Most public tables that come with a query.
pub const PUBLIC_TABLES: usize = 8;

/// Most rows of a public table: all of them, and where they are by key, lie in a worker's memory.
pub const PUBLIC_ROWS: usize = 1 << 20;

/// Most of the owner's tables in one dataset. Each row is of one of them; jobs read past the others'.
pub const TABLES: usize = 32;

/// Most joins on the unit in one query. Rows of each wait for all rows of their unit.
pub const UNIT_JOINS: usize = 4;

/// Most pairs that one unit's rows make in a join. Were there no bound, one person's rows could take everybody's slot.
pub const JOIN_PAIRS: usize = 1 << 16;

/// Most bytes of one unit's rows, or pairs of rows, in a join, each text counted at its longest. Each thread holds several.
pub const JOIN_BYTES: usize = 16 << 20;

/// Most places of one query that read its released numbers.
pub const RELEASED_READS: usize = 32;

/// Most parts of one UNION ALL: each row of the dataset is looked at for each of them.
pub const UNION_PARTS: usize = 16;

/// Most grouping sets of one query. Each costs as much as a query of its own.
pub const GROUPING_SETS: usize = 16;

/// Most columns of one result. Each takes a share of the privacy cost, so more are never useful.
pub const COLUMNS: usize = 256;

/// Most numbers in one program's contribution vector.
pub const OUTPUTS: usize = 4096;

/// Most declared group keys. They are listed in the signed job, which must fit in a document.
pub const DECLARED_KEYS: usize = 4096;

/// Longest group key of text, in characters: longer ones are shortened, so that no row can make the table of groups outgrow its memory.
pub const KEY_CHARS: usize = 256;

/// Longest text that `||` makes or takes, and that a program is handed, in characters: longer ones are shortened. A batch of rows of such texts
/// fits a worker's memory.
pub const TEXT_CHARS: usize = 1024;

/// Longest name of a unit, in bytes. Every row's is read and compared, and it cannot be cut: two people would become one.
pub const UNIT_NAME_BYTES: usize = 256;

/// Largest page of a Parquet file that jobs read, in bytes: it is unpacked as a whole, one of each column on each thread. Writers make pages of about 1 MiB.
pub const PAGE_BYTES: usize = 8 << 20;

/// Most bytes of rows of one unit that a program is handed, each text counted at its longest. Several copies fit a worker's memory.
pub const UNIT_BYTES: usize = 32 << 20;

/// Most bins of one histogram. Each is a noised cell of the result.
pub const BINS: usize = 4096;

/// Most bytes of rows of one block that a program is handed. A block with more has the default, as has one with more than the guest's memory holds: the
/// rows of as many blocks as there are threads lie in memory, twice.
pub const BLOCK_BYTES: usize = 64 << 20;

/// Bytes of rows by block that lie in memory at a time. How many blocks that is follows from public numbers; the files are read again for the others.
pub const BLOCKS_BYTES: usize = 512 << 20;

/// Most blocks of sample-and-aggregate. Beyond this a block would hold less than a unit for every published size here.
pub const BLOCKS: u32 = 1 << 20;

/// Most blocks that one unit is in. Its rows are read and copied once for each.
pub const RESAMPLE: u32 = 16;

/// Longest name (dataset, column, output) in bytes.
pub const NAME_BYTES: usize = 128;

/// Longest name of a published file with the folders that it is in, in bytes.
pub const FILE_NAME_BYTES: usize = 256;

/// Most characters of each text of a peer's refusal that are shown.
pub const REFUSAL_CHARS: usize = 2000;
/// Most connections that are open at the same time.
pub const CONNECTIONS: usize = 4096;
/// Of those, most of one peer.
pub const CONNECTIONS_PER_PEER: usize = 64;
/// Of all, most of strangers: keys that have shown no good grant here. Keys cost nothing, and the other places are for those who have.
pub const STRANGERS: usize = CONNECTIONS / 2;
/// Most requests that are here at the same time, whole or not.
pub const REQUESTS: usize = 16_384;
/// Of those, most of one peer that has shown a grant.
pub const REQUESTS_PER_PEER: usize = 1024;
/// Of all, most of strangers.
pub const STRANGERS_REQUESTS: usize = 4096;
/// Of those, most of one stranger.
pub const STRANGER_REQUESTS: usize = 64;
/// Most requests of strangers that are answered at the same time, others wait: each may have a reply of [`FRAME_BYTES`] made.
pub const STRANGERS_AT_ONCE: usize = 8;
/// Most bytes of a stranger's requests that lie in memory: four of the longest.
pub const STRANGER_BYTES: usize = 4 * REQUEST_BYTES;
/// Most bytes of all strangers' requests.
pub const STRANGERS_BYTES: usize = 32 << 20;
/// Most bytes of replies to all strangers that are on their way.
pub const STRANGERS_REPLY_BYTES: usize = 4 * FRAME_BYTES;
/// Bytes of a connection that may be on their way to here unread, before its peer has shown a grant.
pub const WINDOW_BYTES: u32 = 256 << 10;
/// As [`WINDOW_BYTES`], of a peer that has shown one, or that this node asked.
pub const KNOWN_WINDOW_BYTES: u32 = 16 << 20;
/// Most gossip connections that others opened.
pub const GOSSIPS: usize = 256;
/// Of those, most of strangers.
pub const STRANGERS_GOSSIPS: usize = 128;
/// Of those, most of one peer.
pub const GOSSIPS_PER_PEER: usize = 2;
/// Most strangers that may fetch what anybody may have: whoever asked longest ago asks again.
pub const STRANGERS_FETCHING: usize = 4096;
/// Most buyers who can spend of one lease: how it ended, by buyer, is one entry of the log.
pub const LEASE_BUYERS: usize = 200;
/// Most buyers of whom a lease says that they have less left than others.
pub const LEASE_LESS: usize = 1024;
/// Most leases of one population that are out at the same time.
pub const LEASES: usize = 64;
/// Longest signed listing.
pub const LISTING_BYTES: usize = 16 << 10;
/// Longest description of a dataset.
pub const DESCRIPTION_BYTES: usize = 4 << 10;
/// Most keywords of a dataset.
pub const KEYWORDS: usize = 16;
/// Most sockets at which a peer says that it can be reached.
pub const SOCKETS: usize = 8;
/// Most listings that a node keeps of one owner.
pub const LISTINGS_PER_OWNER: usize = 64;
/// Most listings that a node keeps.
pub const LISTINGS: usize = 200_000;
/// Most listings of one reply.
pub const LISTINGS_PER_REPLY: usize = 500;

/// Most files in one dataset version. Their list is part of the manifest, which must fit in a document.
pub const FILES: usize = 200;
/// Most files that a dataset of one table is made of. More than [`FILES`] are published as one that is made of them.
pub const GIVEN: usize = 20_000;
/// Most files that jobs read as they lie: a worker has each of them open. Of more there is a copy.
pub const OPENED: usize = 200;
/// Most pieces of one file that are told: of larger files, nobody is spared what did not change.
pub const PIECES: usize = 1 << 18;
/// Largest encrypted manifest and policy, in bytes, with what comes after them.
pub const INDEX_BYTES: u64 = 384 << 10;

/// Longest parameter blob of a job in bytes; it is signed with the job and must fit in the document.
pub const PARAMS_BYTES: usize = 16 << 10;

/// Longest grant token in bytes, several narrowings included.
pub const GRANT_BYTES: usize = 16 << 10;
/// Most blocks of a grant, the owner's among them: each has two signatures to verify at most, whoever shows it.
pub const GRANT_BLOCKS: usize = 16;
/// Most jobs an hour that a grant counts.
pub const GRANT_PER_HOUR: u32 = 10_000;

/// How often in an hour one buyer's refused jobs are logged: those beyond wait for the next.
pub const REFUSALS_PER_HOUR: u32 = 200;

/// Entries after a receipt within which its buyer may countersign it: an auditor who goes through the log remembers the receipts of so many.
pub const COUNTERSIGN_WITHIN: u64 = 4096;

/// How long whoever was allowed files may begin to fetch one of them, by a grant that does not end before: what is begun later is asked for again.
pub const COPY_TIME: std::time::Duration = std::time::Duration::from_secs(3600);

/// How often in an hour one peer may begin to copy a dataset or fetch a part of a file: each is an entry of the log.
pub const FETCHES_PER_HOUR: u32 = 4000;

/// How far a job's creation time may lie in the future, in seconds: clocks differ.
pub const CLOCK_SKEW_SECONDS: i64 = 300;

/// How old a job may be when it is first submitted, in seconds. A later replay of its id still returns its stored result.
pub const JOB_AGE_SECONDS: i64 = 24 * 3600;

/// Fuel that any machine that serves burns in a millisecond, whatever burns it: `sandbox/src/wasm/prices.rs` has what instructions take. The fuel of one call is
/// bounded so that all calls of a job fit the slot at this rate: were it the clock that ended a job, one person's slow call could turn everybody's contribution into the default.
pub const FUEL_PER_MS: u64 = 200_000;

/// Weights of a result's columns. Their ratio bounds how little of a job's price one of them gets: noise is made for any price, but a price near nothing buys
/// numbers that say nothing.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
