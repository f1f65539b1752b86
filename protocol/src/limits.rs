//! Limits on everything sent or requested by peers, each with its reason. Docs link here and never repeat a number.

/// Maximum length of a log entry in bytes: C2SP tlog-tiles prefixes an entry with a 16-bit length.
pub const ENTRY_BYTES: usize = 65_535;

/// Maximum length of a request in bytes: a signed document, a grant and some room. Anybody may send one.
pub const REQUEST_BYTES: usize = 128 << 10;

/// Maximum length of a reply in bytes. A result of 100 000 groups fits, and the peer asked cannot make us allocate more than this
/// at once.
pub const FRAME_BYTES: usize = 32 << 20;

/// Maximum bytes of a result's rows as JSON. Base64-coded and with a receipt, they fit in a reply.
pub const RESULT_BYTES: usize = 20 << 20;

/// Bytes left free by an INTENT, so that its OUTCOME, which repeats it and adds how the job ended, fits in a document too.
pub const OUTCOME_BYTES: usize = 1024;

/// Maximum length of a signed document in bytes: base64-coded and with its envelope, a document must fit in a log entry.
pub const DOCUMENT_BYTES: usize = 40 << 10;

/// Maximum size of a program attachment (WebAssembly component with its data, or ONNX model) in bytes.
///
/// It is held in memory during compilation.
pub const PROGRAM_BYTES: usize = 64 << 20;

/// Maximum number of nodes, attributes, tensors and other parts of a model. A part may take two bytes in the file and a hundred
/// times as much in memory.
pub const MODEL_PARTS: usize = 1 << 18;

/// Maximum number of nodes of a model's graph. The runtime's optimizer takes more than linear time over them.
pub const MODEL_NODES: usize = 1 << 14;

/// Maximum size of a model's tensor in bytes, at one row, and of all tensors computed in a run: they are held in a runner's
/// memory.
pub const TENSOR_BYTES: u64 = 256 << 20;

/// Maximum bytes of all tensors computed in a run of a model and of its kernels' workspace, whatever a policy says.
pub const MODEL_BYTES: u64 = 1 << 30;

/// Maximum number of a model's operations per row. More would not be a row's score but a way to burn an owner's machine.
pub const MODEL_WORK: u64 = 1 << 40;

/// Maximum number of rows in a run of a model that may mix rows.
///
/// A unit or block with more has the fallback value, as has one for which [`MODEL_BYTES`] or [`MODEL_WORK`] is not enough.
pub const MODEL_ROWS: u32 = 1 << 16;

/// Maximum number of functions of a component; see [`FUNCTION_BYTES`] for the size of each. Compilers take more than linear time
/// over a function.
pub const FUNCTIONS: usize = 100_000;
/// Maximum bytes of a function of a component. See [`FUNCTIONS`].
pub const FUNCTION_BYTES: usize = 1 << 20;

/// Maximum time to compile a component, in seconds: compilation occupies a job's place, and nobody has paid yet.
pub const COMPILE_SECONDS: u64 = 60;

/// Maximum number of attachments in a node's memory at the same time, from all senders: twice the number of running jobs.
pub const ATTACHMENTS: usize = 8;

/// Maximum number of jobs waiting for an owner's approval. Each is a file on the owner's disk, from a buyer who holds a grant.
pub const PENDING: usize = 256;

/// Maximum number of waiting jobs per buyer, so that no buyer can crowd out the others.
pub const PENDING_PER_BUYER: usize = 16;

/// Maximum bytes of the public tables of a waiting job: an owner has to read them.
pub const PENDING_BYTES: usize = 4 << 20;

/// Maximum length of SQL text in bytes. The planner recurses over the text; short text bounds the depth it can reach.
pub const SQL_BYTES: usize = 16 << 10;

/// Maximum nesting of brackets in SQL text. Checked before parsing, because the parser itself recurses.
pub const SQL_DEPTH: usize = 48;

/// Maximum number of operators in an SQL text: chains of `a+b+…` recurse in the planner though no bracket nests.
pub const SQL_OPERATORS: usize = 400;

/// Maximum number of nodes of an expression after subqueries are inlined: nested subqueries could double it again and again.
pub const SQL_NODES: usize = 4000;

/// Maximum number of groups for which a quantile is searched among 4096 steps of its range; beyond, among 256.
///
/// Each step is a number in the worker's memory.
pub const FINE_GROUPS: usize = 64;

/// Maximum bytes of a group's numbers if the number of groups is not known in advance.
pub const GROUP_BYTES: usize = 64 << 10;

/// Maximum bytes of all groups' numbers if public numbers bound the number of groups. Each thread has a copy.
pub const GROUPS_BYTES: usize = 64 << 20;

/// Maximum number of keys of a GROUP BY: each may be a text of [`TEXT_CHARS`] in every row of a batch.
pub const KEYS: usize = 8;

/// Maximum number of public tables attached to a query.
pub const PUBLIC_TABLES: usize = 8;

/// Maximum number of rows of a public table: all of them, with an index by key, are held in a worker's memory.
pub const PUBLIC_ROWS: usize = 1 << 20;

/// Maximum number of the owner's tables in a dataset. Each row belongs to one of them, and jobs skip the rows of the others.
pub const TABLES: usize = 32;

/// Maximum number of joins on the privacy unit in a query. Rows of each wait for all rows of their unit.
pub const UNIT_JOINS: usize = 4;

/// Maximum number of pairs made by a unit's rows in a join. Without a bound, one person's rows could use up everybody's time
/// budget.
pub const JOIN_PAIRS: usize = 1 << 16;

/// Maximum bytes of a unit's rows, or pairs of rows, in a join, each text counted at its longest. Each thread holds several.
pub const JOIN_BYTES: usize = 16 << 20;

/// Maximum number of places in a query reading its released numbers.
pub const RELEASED_READS: usize = 32;

/// Maximum number of parts of a UNION ALL: each row of the dataset is evaluated for each of them.
pub const UNION_PARTS: usize = 16;

/// Maximum number of grouping sets of a query. Each costs as much as a query of its own.
pub const GROUPING_SETS: usize = 16;

/// Maximum number of columns of a result. Each takes a share of the privacy cost, so more are never useful.
pub const COLUMNS: usize = 256;

/// Maximum length of a program's contribution vector.
pub const OUTPUTS: usize = 4096;

/// Maximum number of declared group keys. They are listed in the signed job, which must fit in a document.
pub const DECLARED_KEYS: usize = 4096;

/// Maximum length of a text group key in characters. Longer keys are shortened: no row can make the table of groups outgrow its
/// memory.
pub const KEY_CHARS: usize = 256;

/// Maximum length, in characters, of an operand or result of `||`, and of a text passed to a program.
///
/// Longer ones are shortened. A batch of rows of such texts fits in a worker's memory.
pub const TEXT_CHARS: usize = 1024;

/// Maximum length of a privacy unit's name in bytes.
///
/// It is read and compared in every row, and cannot be cut: two people would become one.
pub const UNIT_NAME_BYTES: usize = 256;

/// Maximum size in bytes of a page of a Parquet file read by jobs.
///
/// A page is unpacked as a whole, one of each column on each thread. Writers make pages of about 1 MiB.
pub const PAGE_BYTES: usize = 8 << 20;

/// Maximum bytes of a unit's rows passed to a program, each text counted at its longest. Several copies fit in a worker's memory.
pub const UNIT_BYTES: usize = 32 << 20;

/// Maximum number of bins of a histogram. Each is a noised cell of the result.
pub const BINS: usize = 4096;

/// Maximum bytes of a block's rows passed to a program.
///
/// A block with more has the fallback value, as has one with more than the guest's memory holds. The rows of as many blocks as
/// there are threads are in memory, twice.
pub const BLOCK_BYTES: usize = 64 << 20;

/// Bytes of rows by block in memory at a time. How many blocks fit follows from public numbers; the files are read again for the
/// others.
pub const BLOCKS_BYTES: usize = 512 << 20;

/// Maximum number of blocks of sample-and-aggregate. Beyond this a block would hold less than a unit for every published size
/// here.
pub const BLOCKS: u32 = 1 << 20;

/// Maximum number of blocks containing a unit. Its rows are read and copied once for each.
pub const RESAMPLE: u32 = 16;

/// Maximum length of a name (dataset, column, output) in bytes.
pub const NAME_BYTES: usize = 128;

/// Maximum length in bytes of a published file's name, including its folders.
pub const FILE_NAME_BYTES: usize = 256;

/// Maximum number of characters shown of each text of a peer's refusal.
pub const REFUSAL_CHARS: usize = 2000;
/// Maximum number of open connections.
pub const CONNECTIONS: usize = 4096;
/// Maximum number of open connections per peer.
pub const CONNECTIONS_PER_PEER: usize = 64;
/// Maximum number of open connections of strangers: keys that have shown no good grant here.
///
/// Keys cost nothing; the other places are for peers with a grant.
pub const STRANGERS: usize = CONNECTIONS / 2;
/// Maximum number of requests held at the same time, complete or not.
pub const REQUESTS: usize = 16_384;
/// Maximum number of held requests per peer with a grant.
pub const REQUESTS_PER_PEER: usize = 1024;
/// Maximum number of held requests of all strangers.
pub const STRANGERS_REQUESTS: usize = 4096;
/// Maximum number of held requests per stranger.
pub const STRANGER_REQUESTS: usize = 64;
/// Maximum number of strangers' requests answered at the same time; others wait. Each may produce a reply of [`FRAME_BYTES`].
pub const STRANGERS_AT_ONCE: usize = 8;
/// Maximum bytes of a stranger's requests in memory: four of the longest.
pub const STRANGER_BYTES: usize = 4 * REQUEST_BYTES;
/// Maximum bytes of all strangers' requests in memory.
pub const STRANGERS_BYTES: usize = 32 << 20;
/// Maximum bytes of replies in transit to all strangers.
pub const STRANGERS_REPLY_BYTES: usize = 4 * FRAME_BYTES;
/// Receive window of a connection whose peer has not shown a grant yet: unread bytes in transit.
pub const WINDOW_BYTES: u32 = 256 << 10;
/// Receive window, as [`WINDOW_BYTES`], of a peer with a grant or asked by this node.
pub const KNOWN_WINDOW_BYTES: u32 = 16 << 20;
/// Maximum number of gossip connections opened by others.
pub const GOSSIPS: usize = 256;
/// Maximum number of gossip connections opened by strangers.
pub const STRANGERS_GOSSIPS: usize = 128;
/// Maximum number of gossip connections opened per peer.
pub const GOSSIPS_PER_PEER: usize = 2;
/// Maximum number of strangers allowed to fetch public files. The stranger with the oldest request has to ask again.
pub const STRANGERS_FETCHING: usize = 4096;
/// Maximum number of buyers who can spend of a lease: its settlement, by buyer, is a single entry of the log.
pub const LEASE_BUYERS: usize = 200;
/// Maximum number of buyers listed in a lease with less left than others.
pub const LEASE_LESS: usize = 1024;
/// Maximum number of outstanding leases per dataset lineage.
pub const LEASES: usize = 64;
/// Maximum length of a signed listing in bytes.
pub const LISTING_BYTES: usize = 16 << 10;
/// Maximum length of a dataset's description in bytes.
pub const DESCRIPTION_BYTES: usize = 4 << 10;
/// Maximum number of keywords of a dataset.
pub const KEYWORDS: usize = 16;
/// Maximum number of sockets in a peer's address.
pub const SOCKETS: usize = 8;
/// Maximum number of listings kept by a node per owner.
pub const LISTINGS_PER_OWNER: usize = 64;
/// Maximum number of listings kept by a node.
pub const LISTINGS: usize = 200_000;
/// Maximum number of listings per reply.
pub const LISTINGS_PER_REPLY: usize = 500;

/// Maximum number of files in a dataset version. Their list is part of the manifest, which must fit in a document.
pub const FILES: usize = 200;
/// Maximum number of files given for a dataset of a single table. More than [`FILES`] are merged into one published file.
pub const GIVEN: usize = 20_000;
/// Maximum number of files read by jobs in place: a worker has each of them open. If there are more, jobs read a copy.
pub const OPENED: usize = 200;
/// Maximum number of pieces listed for a file. For larger files, unchanged content has to be fetched again.
pub const PIECES: usize = 1 << 18;
/// Maximum size in bytes of an encrypted manifest and policy, including padding.
pub const INDEX_BYTES: u64 = 384 << 10;

/// Maximum length of a job's parameter blob in bytes, which is signed with the job and must fit in the document.
pub const PARAMS_BYTES: usize = 16 << 10;

/// Maximum length of a grant token in bytes, several narrowings included.
pub const GRANT_BYTES: usize = 16 << 10;
/// Maximum number of blocks of a grant, including the owner's: each has two signatures to verify at most, whoever shows it.
pub const GRANT_BLOCKS: usize = 16;
/// Maximum hourly rate of jobs in a grant.
pub const GRANT_PER_HOUR: u32 = 10_000;

/// Maximum number of refused jobs of a buyer logged in an hour; those beyond wait for the next.
pub const REFUSALS_PER_HOUR: u32 = 200;

/// Number of entries after a receipt within which its buyer may countersign.
///
/// An auditor who goes through the log remembers this many receipts.
pub const COUNTERSIGN_WITHIN: u64 = 4096;

/// Time within which a permitted peer may begin to fetch a file, unless its grant ends before. Later fetches need a new request.
pub const COPY_TIME: std::time::Duration = std::time::Duration::from_secs(3600);

/// Maximum number of times per hour for a peer to begin to copy a dataset or fetch a part of a file: each is an entry of the log.
pub const FETCHES_PER_HOUR: u32 = 4000;

/// Maximum distance of a job's creation time into the future, in seconds: clocks differ.
pub const CLOCK_SKEW_SECONDS: i64 = 300;

/// Maximum age of a job at its first submission, in seconds. A later replay of its id still returns its stored result.
pub const JOB_AGE_SECONDS: i64 = 24 * 3600;

/// Fuel that any serving machine burns in a millisecond, whatever instructions burn it: `sandbox/src/wasm/prices.rs` has the
/// price of each instruction.
///
/// The fuel of one call is bounded so that all calls of a job fit in its time budget at this rate. If the clock ended a job
/// instead, one person's slow call could turn everybody's contribution into the fallback value.
pub const FUEL_PER_MS: u64 = 200_000;

/// Range of weights of a result's columns.
///
/// Their ratio bounds how little of a job's privacy cost one column gets: noise is made for any share, but a share near zero buys
/// numbers that carry no information.
pub const WEIGHTS: std::ops::RangeInclusive<f64> = 1e-3..=1e3;
