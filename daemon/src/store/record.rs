//! The records of `system.redb`: plain data, no behaviour. Times are Unix milliseconds (`_ms`). The id of a
//! record is in its key. Changing a field means a new `VERSION` and a migration.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Record, older};

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident : $ty:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            pub(crate) struct $name { $($(#[$fdoc])* pub(crate) $field: $ty),* }
            impl Record for $name {}
        )*
    };
}

records! {
    /// An account.
    User {
        /// As the user wrote it.
        email: String,
        /// argon2id in PHC notation.
        password_hash: String,
        is_active: bool,
        created_at_ms: i64,
        /// `cla_…`, shown to its owner by `/v1/auth/me`.
        api_key: String,
    }

    /// Which user has an e-mail address.
    EmailOwner { user: u128 }

    /// Which user has an API key.
    ApiKey { user: u128 }

    /// An Ed25519 key pair that signs tokens.
    SigningKey { pkcs8: Vec<u8>, created_at_ms: i64 }

    /// A login; its token is good while this row exists.
    Session { created_at_ms: i64, expires_at_ms: i64 }

    /// An organisation that holds profiles.
    Workspace {
        label: String,
        created_at_ms: i64,
        /// Used by profiles that name none themselves.
        default_onchain_config: Option<Uuid>,
    }

    /// Settings of a profile, validated before they are stored.
    Settings {
        /// ISO 4217 code.
        fiat_currency: String,
        gains_algorithm: GainsAlgorithm,
        lot_scope: LotScope,
        /// Method and scope of later days, in order.
        policies: Vec<Policy>,
        /// IANA name.
        timezone: String,
        transfer_fee_treatment: TransferFeeTreatment,
        rate_max_age_hours: u32,
        /// `host:port` of a SOCKS5 proxy.
        tor_proxy: Option<String>,
        onchain_config: Option<Uuid>,
    }

    /// Method and scope from a day on.
    Policy {
        /// `YYYY-MM-DD`, in the profile's time zone.
        day: String,
        /// `None`: the method before goes on, whatever it is by then.
        gains_algorithm: Option<GainsAlgorithm>,
        /// `None`: the scope before goes on.
        lot_scope: Option<LotScope>,
        /// Lots dealt to connections by the user's word.
        allocation: Vec<Allocated>,
    }

    /// A quantity of one lot that goes to one connection.
    Allocated { lot: String, connection: Uuid, msat: i64 }

    /// A chain source.
    OnchainConfig {
        label: String,
        kind: OnchainKind,
        /// `tcp://host:port` or `ssl://host:port`.
        url: String,
        created_at_ms: i64,
    }

    /// A background job and what came of it.
    Operation {
        kind: String,
        workspace: Option<Uuid>,
        profile: Option<Uuid>,
        status: OperationStatus,
        created_at_ms: i64,
        started_at_ms: Option<i64>,
        finished_at_ms: Option<i64>,
        failures: Vec<Failure>,
        /// What the job has to say beyond its failures, as JSON text.
        summary_json: Option<String>,
        /// Why it failed as a whole.
        error: Option<Failure>,
    }

    /// One thing that went wrong in an operation.
    Failure {
        /// The connection it concerns, if one.
        connection: Option<Uuid>,
        code: String,
        message: String,
    }

    /// The first answer to a request with an idempotency key.
    Idempotent {
        request_hash: [u8; 32],
        status: u16,
        content_type: Option<String>,
        location: Option<String>,
        body: Vec<u8>,
        created_at_ms: i64,
    }

    /// Price of one bitcoin.
    Rate {
        /// Exact decimal, normalised.
        value: String,
        source: String,
    }

    /// How often rates of a user were written; books compare it with what they copied last.
    RateRevision { revision: u64 }

    /// A deleted profile whose book may still be on the disk.
    RemovedBook { deleted_at_ms: i64 }

    /// A message to the operator.
    Feedback { message: String, contact: Option<String>, created_at_ms: i64 }
}

/// One set of books: its label and settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) label: String,
    pub(crate) created_at_ms: i64,
    pub(crate) settings: Settings,
}

impl Record for Profile {
    const VERSION: u8 = 2;

    fn older(version: u8, body: &[u8]) -> Option<Self> {
        older::profile(version, body)
    }
}

/// Order in which lots are consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum GainsAlgorithm {
    /// Oldest first.
    Fifo,
    /// Newest first.
    Lifo,
    /// Highest cost per unit first.
    Hifo,
    /// Lowest cost per unit first.
    Lofo,
    /// At the average cost of the pool.
    AvgCost,
    /// Same day, next 30 days, then the section 104 pool.
    UkS104,
}

/// Which lots a disposal may choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LotScope {
    /// All lots of the profile.
    Universal,
    /// The lots of the connection the coins leave.
    Connection,
}

/// What the network fee of a transfer between own wallets does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TransferFeeTreatment {
    /// It is a disposal at fair value.
    Dispose,
    /// Its cost moves into the basis of what arrives.
    CarryBasis,
}

/// Protocol of a chain source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OnchainKind {
    /// Electrum protocol over TCP or TLS.
    Electrum,
}

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OperationStatus {
    /// Waiting for a worker.
    Queued,
    /// At work.
    Running,
    /// Done.
    Succeeded,
    /// Done, with failures of some connections.
    SucceededWithFailures,
    /// Not done.
    Failed,
    /// Stopped on request.
    Cancelled,
}
