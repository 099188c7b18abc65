//! Tokens: Ed25519-signed JWTs, their keys, and a bounded memory of verified ones.
//!
//! Invariants: the algorithm is EdDSA whatever a token says; key id, issuer and times must match ours; a
//! login token is good only while its session row exists; the memory never outlives a token and is keyed by
//! the token's hash, not the token.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use ring::digest;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::jwt_ring;
use crate::clock;
use crate::server::StartError;
use crate::server::problem::{Code, Problem};
use crate::store::record::{Session, SigningKey};
use crate::store::{Rows, Store, StoreError, tables};

/// Verified tokens remembered at most.
const CACHE_SIZE: usize = 4096;

/// The part of the server a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The books.
    Svc,
    /// Exchange rates.
    Rates,
    /// Feedback.
    Feedback,
    /// Services, tokens, proxy.
    Vault,
}

impl Audience {
    /// Every audience.
    pub(crate) const ALL: [Self; 4] = [Self::Svc, Self::Rates, Self::Feedback, Self::Vault];

    /// As in the `aud` claim.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Svc => "svc",
            Self::Rates => "rates",
            Self::Feedback => "feedback",
            Self::Vault => "vault",
        }
    }

    const fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: Uuid,
    aud: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

/// What a token that passed says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Verified {
    /// Whose token it is.
    pub(crate) user: Uuid,
    audiences: u8,
    expires_at_secs: i64,
    /// For login tokens, the session.
    session: Option<Uuid>,
}

impl Verified {
    /// Whether the token is for a part of the server.
    pub(crate) fn is_for(&self, audience: Audience) -> bool {
        self.audiences & audience.bit() != 0
    }

    /// Whether this is a login token, which is for all parts.
    pub(crate) fn is_login(&self) -> bool {
        self.session.is_some()
    }
}

/// A new token and how long it is good for.
pub(crate) struct Issued {
    /// The JWT.
    pub(crate) token: String,
    /// Seconds until it expires.
    pub(crate) expires_in_secs: u64,
}

struct Key {
    kid: String,
    public: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// Issues and checks the tokens of one server.
pub(crate) struct Tokens {
    store: Store,
    issuer: String,
    /// Newest last; the last one signs.
    keys: Vec<Key>,
    validation: Validation,
    cache: Mutex<HashMap<[u8; 32], Verified>>,
}

impl Tokens {
    /// Loads the signing keys, making the first one if there is none.
    pub(crate) async fn open(store: Store, issuer: String) -> Result<Self, StartError> {
        jwt_ring::install();
        let fresh = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| StartError::SigningKey("the system gave no randomness"))?;
        let candidate = SigningKey { pkcs8: fresh.as_ref().to_vec(), created_at_ms: clock::now_ms() };
        let rows = store.write::<_, StoreError, _>(move |tx| load_or_create(tx, &candidate)).await?;
        let keys = rows.into_iter().map(|(kid, row)| Key::new(kid, &row)).collect::<Result<_, _>>()?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Audiences differ by route and are checked there.
        validation.validate_aud = false;
        validation.set_issuer(&[&issuer]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "sub"]);
        Ok(Self { store, issuer, keys, validation, cache: Mutex::default() })
    }

    /// A login token: all audiences, backed by a session.
    pub(crate) async fn issue_login(&self, user: Uuid, ttl_secs: u64) -> Result<Issued, Problem> {
        let session = Uuid::now_v7();
        let now_ms = clock::now_ms();
        let row = Session { created_at_ms: now_ms, expires_at_ms: now_ms.saturating_add(millis(ttl_secs)) };
        self.store
            .write::<_, Problem, _>(move |tx| {
                tx.put(&tables::SESSIONS, (user.as_u128(), session.as_u128()), &row)?;
                Ok(())
            })
            .await?;
        let all = Audience::ALL.map(|audience| audience.word().to_owned()).to_vec();
        self.sign(user, all, session, ttl_secs)
    }

    /// An access token for one audience.
    pub(crate) fn issue_access(
        &self,
        user: Uuid,
        audience: Audience,
        ttl_secs: u64,
    ) -> Result<Issued, Problem> {
        self.sign(user, vec![audience.word().to_owned()], Uuid::now_v7(), ttl_secs)
    }

    fn sign(&self, sub: Uuid, aud: Vec<String>, jti: Uuid, ttl_secs: u64) -> Result<Issued, Problem> {
        let key = self.keys.last().ok_or_else(|| Problem::internal(&"there is no signing key"))?;
        let now = clock::now_secs();
        let exp = now.saturating_add(millis(ttl_secs) / 1000);
        let claims = Claims { iss: self.issuer.clone(), sub, aud, iat: now, nbf: now, exp, jti };
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding)
            .map_err(|error| Problem::internal(&error))?;
        Ok(Issued { token, expires_in_secs: ttl_secs })
    }

    /// Checks a token; the answer is remembered until it expires.
    pub(crate) async fn verify(&self, token: &str) -> Result<Verified, Problem> {
        let hash = sha256(token.as_bytes());
        if let Some(known) = self.remembered(&hash) {
            return if known.expires_at_secs > clock::now_secs() { Ok(known) } else { Err(expired()) };
        }
        let verified = self.verify_signature(token)?;
        self.check_store(verified).await?;
        self.remember(hash, verified);
        Ok(verified)
    }

    fn verify_signature(&self, token: &str) -> Result<Verified, Problem> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        let kid = header.kid.ok_or_else(invalid)?;
        let key = self.keys.iter().find(|key| key.kid == kid).ok_or_else(invalid)?;
        let claims = match jsonwebtoken::decode::<Claims>(token, &key.decoding, &self.validation) {
            Ok(data) => data.claims,
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => return Err(expired()),
            Err(_) => return Err(invalid()),
        };
        let is_for = |audience: &Audience| claims.aud.iter().any(|word| word == audience.word());
        let audiences =
            Audience::ALL.iter().filter(|audience| is_for(audience)).fold(0, |bits, a| bits | a.bit());
        let is_login = Audience::ALL.iter().all(is_for);
        Ok(Verified {
            user: claims.sub,
            audiences,
            expires_at_secs: claims.exp,
            session: is_login.then_some(claims.jti),
        })
    }

    /// The account must still be active, and a login must still have its session.
    async fn check_store(&self, verified: Verified) -> Result<(), Problem> {
        let user = verified.user.as_u128();
        let good = self
            .store
            .read::<_, StoreError, _>(move |tx| {
                let active = tx.get(&tables::USERS, user)?.is_some_and(|row| row.is_active);
                let session = match verified.session {
                    None => true,
                    Some(id) => tx.get(&tables::SESSIONS, (user, id.as_u128()))?.is_some(),
                };
                Ok(active && session)
            })
            .await?;
        if good { Ok(()) } else { Err(invalid()) }
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Verified> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(hash).copied()
    }

    fn remember(&self, hash: [u8; 32], verified: Verified) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_SIZE {
            let now = clock::now_secs();
            cache.retain(|_, known| known.expires_at_secs > now);
            if cache.len() >= CACHE_SIZE {
                cache.clear();
            }
        }
        cache.insert(hash, verified);
    }

    /// The public keys as `(kid, raw Ed25519 key in base64url)`.
    pub(crate) fn public_keys(&self) -> Vec<(String, String)> {
        self.keys.iter().map(|key| (key.kid.clone(), URL_SAFE_NO_PAD.encode(&key.public))).collect()
    }
}

impl Key {
    fn new(kid: String, row: &SigningKey) -> Result<Self, StartError> {
        let pair = Ed25519KeyPair::from_pkcs8(&row.pkcs8)
            .map_err(|_| StartError::SigningKey("a stored key is damaged"))?;
        let public = pair.public_key().as_ref().to_vec();
        let encoding = EncodingKey::from_ed_der(&row.pkcs8);
        let decoding = DecodingKey::from_ed_der(&public);
        Ok(Self { kid, public, encoding, decoding })
    }
}

fn load_or_create(
    tx: &crate::store::WriteTx,
    candidate: &SigningKey,
) -> Result<Vec<(String, SigningKey)>, StoreError> {
    let all = |tx: &crate::store::WriteTx| {
        tx.scan(&tables::SIGNING_KEYS, ""..="\u{10ffff}", usize::MAX, |kid, row| (kid.to_owned(), row))
    };
    let existing = all(tx)?;
    if !existing.is_empty() {
        return Ok(existing);
    }
    let kid = Uuid::now_v7().to_string();
    tx.put(&tables::SIGNING_KEYS, &kid, candidate)?;
    all(tx)
}

fn invalid() -> Problem {
    Problem::new(Code::InvalidToken, "the token was not issued by this server or was revoked; log in again")
}

fn expired() -> Problem {
    Problem::new(Code::TokenExpired, "the token has expired; log in again")
}

fn millis(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX / 1000).saturating_mul(1000)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Audience, Tokens, URL_SAFE_NO_PAD};
    use crate::server::problem::Code;
    use crate::store::record::User;
    use crate::store::{Store, StoreError, tables};
    use base64::Engine;
    use uuid::Uuid;

    async fn tokens(dir: &std::path::Path) -> (Tokens, Uuid) {
        let store = Store::open(&dir.join("system.redb"), dir.join("spool"), 1).unwrap();
        let user = Uuid::now_v7();
        let row = User {
            email: "a@b.example".to_owned(),
            password_hash: String::new(),
            is_active: true,
            created_at_ms: 0,
            api_key: String::new(),
        };
        store
            .write::<_, StoreError, _>(move |tx| tx.put(&tables::USERS, user.as_u128(), &row))
            .await
            .unwrap();
        (Tokens::open(store, "nacre".to_owned()).await.unwrap(), user)
    }

    #[tokio::test]
    async fn tampered_and_algorithm_confused_tokens_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, user) = tokens(dir.path()).await;
        let good = tokens.issue_login(user, 60).await.unwrap().token;
        assert_eq!(tokens.verify(&good).await.unwrap().user, user);

        let parts: Vec<&str> = good.split('.').collect();
        let kid = &tokens.keys[0].kid;
        let header =
            |alg: &str| URL_SAFE_NO_PAD.encode(format!(r#"{{"typ":"JWT","alg":"{alg}","kid":"{kid}"}}"#));
        let other_claims = URL_SAFE_NO_PAD.encode(
            String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap().replace("svc", "svd"),
        );
        let forged = [
            format!("{}.{}.", header("none"), parts[1]),
            format!("{}.{}.{}", header("HS256"), parts[1], parts[2]),
            format!("{}.{}.{}", parts[0], other_claims, parts[2]),
            format!("{}.{}.{}", parts[0], parts[1], parts[2].chars().rev().collect::<String>()),
            "x".to_owned(),
            "a.b.c".to_owned(),
        ];
        for token in forged {
            assert_eq!(tokens.verify(&token).await.unwrap_err().code(), Code::InvalidToken, "{token}");
        }
    }

    #[tokio::test]
    async fn expired_tokens_have_their_own_code_even_when_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, user) = tokens(dir.path()).await;
        let token = tokens.issue_access(user, Audience::Svc, 1).unwrap().token;
        assert!(tokens.verify(&token).await.is_ok());
        tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
        assert_eq!(tokens.verify(&token).await.unwrap_err().code(), Code::TokenExpired);
        let unseen = tokens.issue_access(user, Audience::Svc, 0).unwrap().token;
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(tokens.verify(&unseen).await.unwrap_err().code(), Code::TokenExpired);
    }

    #[tokio::test]
    async fn an_access_token_is_for_its_audience_only() {
        let dir = tempfile::tempdir().unwrap();
        let (tokens, user) = tokens(dir.path()).await;
        let token = tokens.issue_access(user, Audience::Rates, 60).unwrap().token;
        let verified = tokens.verify(&token).await.unwrap();
        assert!(verified.is_for(Audience::Rates) && !verified.is_for(Audience::Svc) && !verified.is_login());
    }

    #[tokio::test]
    async fn the_key_survives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let (first, user) = tokens(dir.path()).await;
        let token = first.issue_access(user, Audience::Svc, 60).unwrap().token;
        let store = first.store.clone();
        drop(first);
        let second = Tokens::open(store, "nacre".to_owned()).await.unwrap();
        assert_eq!(second.verify(&token).await.unwrap().user, user);
    }
}
