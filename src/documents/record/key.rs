//! Keys that sign records: Ed25519 (RFC 8032), in the PEM files that OpenSSL reads
//! and writes (RFC 8410).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::hex;

/// What stands before the 32 bytes of a private key in PKCS #8, and before those
/// of a public key in a SubjectPublicKeyInfo.
const PRIVATE: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

/// A key that signs.
pub struct Key(SigningKey);

/// A key that checks what the other half signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// A key cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("the key {} cannot be used: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error(
        "{0} is no Ed25519 key in PEM; `openssl genpkey -algorithm ed25519` makes one, and \
         `openssl pkey -pubout` gives its public half"
    )]
    Malformed(String),
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| KeyError::Random(error.to_string()))?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// The key in a file, which is made where there is none, readable by its owner
    /// alone.
    ///
    /// # Errors
    /// The file cannot be read or made, or holds no key.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let failed = |error| KeyError::File { path: path.to_owned(), error };
        match fs::read_to_string(path) {
            Ok(pem) => {
                warn_if_open(path);
                Self::from_pem(&pem).ok_or_else(|| KeyError::Malformed(path.display().to_string()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::generate()?;
                match key.store(path) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load_or_make(path)
                    }
                    stored => stored.map(|()| key).map_err(failed),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes the file as a whole, never over another.
    fn store(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut part = path.as_os_str().to_owned();
        part.push(format!(".{}", uuid::Uuid::new_v4()));
        let part = PathBuf::from(part);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(&part).and_then(|mut file| {
            file.write_all(self.pem().as_bytes())?;
            file.sync_all()?;
            fs::hard_link(&part, path)
        });
        // The file has its name by now, or is of no use.
        let _ = fs::remove_file(&part);
        written
    }

    fn from_pem(pem: &str) -> Option<Self> {
        let secret = unwrap(pem, "PRIVATE KEY", &PRIVATE)?;
        Some(Self(SigningKey::from_bytes(&secret)))
    }

    fn pem(&self) -> String {
        wrap("PRIVATE KEY", &PRIVATE, self.0.as_bytes())
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl PublicKey {
    /// From a PEM file's text, of either half; `None` if it is no key.
    pub fn from_pem(pem: &str) -> Option<Self> {
        if let Some(key) = Key::from_pem(pem) {
            return Some(key.public());
        }
        let bytes = unwrap(pem, "PUBLIC KEY", &PUBLIC)?;
        Some(Self(VerifyingKey::from_bytes(&bytes).ok()?))
    }

    pub fn pem(&self) -> String {
        wrap("PUBLIC KEY", &PUBLIC, self.0.as_bytes())
    }

    /// SHA-256 of its SubjectPublicKeyInfo, in lower-case hex.
    pub fn id(&self) -> String {
        hex(Sha256::new().chain_update(PUBLIC).chain_update(self.0.as_bytes()).finalize())
    }

    /// Whether the other half signed this. Keys and signatures that only lax
    /// checks take are refused.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let signature = Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

fn wrap(label: &str, before: &[u8], key: &[u8; 32]) -> String {
    let body = STANDARD.encode([before, key].concat());
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn unwrap(pem: &str, label: &str, before: &[u8]) -> Option<[u8; 32]> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()?.strip_prefix(before)?.try_into().ok()
}

/// A key that others can read signs for them too.
fn warn_if_open(path: &Path) {
    #[cfg(unix)]
    if let Ok(found) = path.metadata() {
        use std::os::unix::fs::PermissionsExt;
        if found.permissions().mode() & 0o077 != 0 {
            let path = path.display();
            tracing::warn!("{path} signs records and can be read by others; chmod 600 {path}");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    /// RFC 8032, section 7.1, tests 1 to 3: secret, public, message, signature.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
             5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn signatures_are_those_of_the_standard() {
        for [secret, public, message, signature] in VECTORS {
            let key = Key(SigningKey::from_bytes(&bytes(secret).try_into().unwrap()));
            let (message, signature) = (bytes(message), bytes(signature));
            assert_eq!(key.public().0.as_bytes().to_vec(), bytes(public));
            assert_eq!(key.sign(&message).to_vec(), signature);
            assert!(key.public().verifies(&message, &signature));
            assert!(!key.public().verifies(b"other", &signature));
            assert!(!key.public().verifies(&message, &signature[1..]));
            let again = Key::from_pem(&key.pem()).unwrap();
            assert_eq!(again.public(), key.public());
            assert_eq!(PublicKey::from_pem(&key.public().pem()), Some(key.public()));
            assert_eq!(PublicKey::from_pem(&key.pem()), Some(key.public()));
        }
    }

    /// RFC 8410, sections 10.1 and 10.3.
    #[test]
    fn files_are_those_of_the_standard() {
        let key = Key::from_pem(
            "-----BEGIN PRIVATE KEY-----\n\
             MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
             -----END PRIVATE KEY-----\n",
        );
        let public = "-----BEGIN PUBLIC KEY-----\n\
             MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
             -----END PUBLIC KEY-----\n";
        assert_eq!(key.unwrap().public().pem(), public);
        for broken in ["", "MCow", &public.replace("MCow", "MCpw"), &public.replace("END", "")] {
            assert!(PublicKey::from_pem(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_key_is_made_once_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/record-key");
        let made = Key::load_or_make(&path).unwrap().public();
        assert_eq!(Key::load_or_make(&path).unwrap().public(), made);
        assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        let other = Key::generate().unwrap();
        assert!(other.store(&path).is_err() && other.public() != made);
        fs::write(&path, "no key").unwrap();
        assert!(matches!(Key::load_or_make(&path), Err(KeyError::Malformed(_))));
    }
}
