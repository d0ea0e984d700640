//! Signed envelopes as DSSE has them (Dead Simple Signing Envelope, version 1), so
//! that other tools can check them too.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::{Deserialize, Serialize};

use super::key::{Key, PublicKey};

/// What is in it, and who signed that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// In base64.
    pub payload: String,
    /// What kind of payload it is; signed with it.
    pub payload_type: String,
    pub signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// By which the key can be found; not signed, so it proves nothing.
    #[serde(default)]
    pub keyid: String,
    /// In base64.
    pub sig: String,
}

/// Why an envelope is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("its {0} is no base64")]
    Encoding(&'static str),
    #[error("its payload was changed, or another key signed it")]
    Signature,
}

impl Envelope {
    /// Signs a payload.
    pub fn seal(payload: &[u8], payload_type: &str, key: &Key) -> Self {
        let signature = key.sign(&pae(payload_type, payload));
        Self {
            payload: STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![Signature {
                keyid: key.public().id(),
                sig: STANDARD.encode(signature),
            }],
        }
    }

    /// The payload, which anybody may have written.
    ///
    /// # Errors
    /// It is no base64.
    pub fn unchecked(&self) -> Result<Vec<u8>, EnvelopeError> {
        decode(&self.payload).ok_or(EnvelopeError::Encoding("payload"))
    }

    /// The payload, if one of the signatures is by this key.
    ///
    /// # Errors
    /// None is, or what should be base64 is not.
    pub fn open(&self, key: &PublicKey) -> Result<Vec<u8>, EnvelopeError> {
        let payload = self.unchecked()?;
        let signed = pae(&self.payload_type, &payload);
        for signature in &self.signatures {
            let bytes = decode(&signature.sig).ok_or(EnvelopeError::Encoding("signature"))?;
            if key.verifies(&signed, &bytes) {
                return Ok(payload);
            }
        }
        Err(EnvelopeError::Signature)
    }
}

/// What is signed: DSSE's pre-authentication encoding.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let lengths = (payload_type.len(), payload.len());
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", lengths.0, lengths.1).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Both alphabets are allowed.
fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard, whose signature is of another algorithm.
    #[test]
    fn what_is_signed_is_that_of_the_standard() {
        let json = r#"{"payload": "aGVsbG8gd29ybGQ=",
            "payloadType": "http://example.com/HelloWorld",
            "signatures": [{"sig": "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="}]}"#;
        let envelope: Envelope = serde_json::from_str(json).unwrap();
        let payload = envelope.unchecked().unwrap();
        assert_eq!(payload, b"hello world");
        assert_eq!(
            pae(&envelope.payload_type, &payload),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
        let key = Key::generate().unwrap();
        assert_eq!(envelope.open(&key.public()), Err(EnvelopeError::Signature));
    }

    #[test]
    fn nothing_can_be_changed() {
        let (key, other) = (Key::generate().unwrap(), Key::generate().unwrap());
        let sealed = Envelope::seal(&[0xfb, 0xff, b'x'], "text/x", &key);
        assert_eq!(sealed.open(&key.public()).unwrap(), [0xfb, 0xff, b'x']);
        let url_safe = Envelope { payload: "-_94".to_owned(), ..sealed.clone() };
        assert!(url_safe.open(&key.public()).is_ok());
        let changed = [
            Envelope { payload: STANDARD.encode(b"y"), ..sealed.clone() },
            Envelope { payload_type: "text/y".to_owned(), ..sealed.clone() },
            Envelope { signatures: Vec::new(), ..sealed.clone() },
            Envelope {
                signatures: Envelope::seal(b"x", "text/x", &other).signatures,
                ..sealed.clone()
            },
        ];
        for changed in changed {
            assert_eq!(changed.open(&key.public()), Err(EnvelopeError::Signature), "{changed:?}");
        }
        assert_eq!(sealed.open(&other.public()), Err(EnvelopeError::Signature));
        let broken = Envelope { payload: "!".to_owned(), ..sealed };
        assert_eq!(broken.open(&key.public()), Err(EnvelopeError::Encoding("payload")));
    }
}
