# The commands of daily work. `just` lists them.

_default:
    @just --list

# Build and start the server; arguments go to `dragoman serve`.
serve *args:
    cargo run --release -- serve {{ args }}

# All tests; arguments select some, for example `just test config`.
test *args:
    cargo test --locked {{ args }}

# Formatting and lints, as CI checks them.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings

# Everything CI runs.
ci:
    bash .ci/run

# Write config/dragoman.toml anew, after a change of src/config/mod.rs.
template:
    DRAGOMAN_TEST_UPDATE=1 cargo test --locked --test it committed_template

# Write docs/models.md anew, after a change of models/.
models-page:
    DRAGOMAN_TEST_UPDATE=1 cargo test --locked --test it committed_page

# Write docs/openapi.json and docs/api.md anew, after a change of src/api/wire/ or of the routes.
reference:
    DRAGOMAN_TEST_UPDATE=1 cargo test --locked --test it committed_reference

# Licences, banned crates and sources of all dependencies; needs cargo-deny.
deny:
    cargo deny --locked check bans licenses sources

# The tests of the CUDA side on a driver that needs no GPU; needs g++ 12 or newer.
cuda *args:
    bash tests/cuda/run.sh {{ args }}

# schemathesis over the OpenAPI document of a server; needs schemathesis and all-minilm-l6-v2.
contract *args:
    python3 tests/clients/contract.py --dragoman target/release/dragoman {{ args }}
