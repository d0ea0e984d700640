//! Records of results, and `/v1/record-keys`.

use schemars::JsonSchema;
use serde::Serialize;

/// What made a result, signed: a DSSE envelope around an in-toto statement.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecordBody {
    /// The statement, in base64.
    pub payload: String,
    /// "application/vnd.in-toto+json".
    pub payload_type: String,
    pub signatures: Vec<SignatureBody>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SignatureBody {
    /// Of the key at `/v1/record-keys`.
    pub keyid: String,
    /// Ed25519, in base64.
    pub sig: String,
}

/// A key that signs records.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecordKey {
    /// SHA-256 of the public key as X.509 has it, in hex.
    pub id: String,
    pub object: &'static str,
    /// "ed25519".
    pub algorithm: &'static str,
    /// In PEM.
    pub public_key: String,
}
