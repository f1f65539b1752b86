//! Templates of jobs, in the language of the author's choice.

use crate::{C_HEADER, INFER_WIT, NN_WIT, WIT};

/// A language with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust.
    Rust,
    /// C.
    C,
    /// Python.
    Python,
    /// JavaScript.
    Js,
    /// SQL: a query, and no program.
    Sql,
}

impl Language {
    /// All languages.
    pub const ALL: [Self; 5] = [Self::Rust, Self::C, Self::Python, Self::Js, Self::Sql];

    /// Returns the language's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::C => "c",
            Self::Python => "python",
            Self::Js => "js",
            Self::Sql => "sql",
        }
    }

    /// Returns where its build leaves the program; empty if there is none to build.
    fn module(self) -> &'static str {
        match self {
            Self::Rust => "target/wasm32-unknown-unknown/release/job.wasm",
            Self::C | Self::Python | Self::Js => "job.wasm",
            Self::Sql => "",
        }
    }

    /// Returns the build commands; none for a query.
    pub fn build(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["rustup target add wasm32-unknown-unknown", "cargo build --release --target wasm32-unknown-unknown"],
            Self::C => &[
                "pip install ziglang",
                "python3 -m ziglang cc --target=wasm32-freestanding -O2 -nostdlib -Wl,--no-entry -Wl,-z,stack-size=65536 job.c -o job.wasm",
            ],
            Self::Python => {
                &["pip install componentize-py==0.25.1", "componentize-py -d wit -w job componentize --stub-wasi app -o job.wasm"]
            }
            Self::Js => &["npm install @bytecodealliance/componentize-js", "node build.mjs"],
            Self::Sql => &[],
        }
    }

    /// Returns the files: their paths in the job's folder, and their contents.
    pub fn files(self) -> Vec<(&'static str, String)> {
        if self == Self::Sql {
            let files = [
                ("job.toml", include_str!("../templates/sql/job.toml")),
                ("README.md", include_str!("../templates/sql/README.md")),
            ];
            return files.map(|(path, text)| (path, text.to_owned())).into();
        }
        // The split into calls, and the maximum number of rows expected in a call.
        let (split, most) = match self {
            Self::Rust | Self::C | Self::Sql => {
                ("# split = { blocks = 50 }       # or blocks of people: for programs that need many of them", "10")
            }
            // Instantiating an interpreter takes some milliseconds.
            Self::Python | Self::Js => (
                "# Once for each of so many blocks of people: an interpreter takes more fuel than there is for each person.\nsplit = { blocks = 50 }",
                "1000",
            ),
        };
        let fill = |text: &str| {
            let text = text.replace("SPLIT", split).replace("MOST", most);
            text.replace("MODULE", self.module()).replace("    BUILD", &format!("    {}", self.build().join("\n    ")))
        };
        let mut files = vec![
            ("job.toml", fill(include_str!("../templates/job.toml"))),
            ("README.md", fill(include_str!("../templates/README.md"))),
            ("wit/job.wit", WIT.to_owned()),
            ("wit/infer.wit", INFER_WIT.to_owned()),
            ("wit/deps/nn/nn.wit", NN_WIT.to_owned()),
        ];
        let sources: &[(&'static str, &str)] = match self {
            Self::Rust => &[
                ("Cargo.toml", include_str!("../templates/rust/Cargo.toml")),
                ("src/lib.rs", include_str!("../templates/rust/src/lib.rs")),
                (".cargo/config.toml", include_str!("../templates/rust/cargo-config.toml")),
            ],
            Self::C => &[("job.c", include_str!("../templates/c/job.c")), ("tidegate_guest.h", C_HEADER)],
            Self::Python => {
                &[("app.py", include_str!("../templates/python/app.py")), ("tidegate.py", include_str!("../python/tidegate.py"))]
            }
            Self::Js => {
                &[("app.js", include_str!("../templates/js/app.js")), ("build.mjs", include_str!("../templates/js/build.mjs"))]
            }
            Self::Sql => &[],
        };
        files.extend(sources.iter().map(|(path, text)| (*path, (*text).to_owned())));
        files
    }
}
