//! [`Connection`]: one wallet, node or import feed of the book.

use serde::{Deserialize, Serialize};

use crate::id::ConnectionNo;
use crate::time::Timestamp;

/// A connection as the book keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its number in this book.
    pub no: ConnectionNo,
    /// Its public id (a UUID in text form).
    pub id: String,
    /// What the user calls it; the name of its account leaf.
    pub label: String,
    /// Its kind as the surface names it (`Descriptor`, `Custom`, …); the engine does not interpret it.
    pub kind: String,
    /// Which asset account its leaf hangs under.
    pub rail: Rail,
    /// Its configuration, opaque to the engine. Holds no secret.
    pub config: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last delivered, by sync or import.
    pub synced_at: Option<Timestamp>,
}

/// Where a connection's bitcoin sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Rail {
    /// Own keys on chain.
    OnChain,
    /// Lightning channels.
    Lightning,
    /// A custodian.
    Managed,
}
