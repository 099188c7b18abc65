//! The demo: invented books of a saver, a merchant and a Lightning user, put in through the same functions as anyone's
//! books. Needs no network. Filling an already filled folder changes nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::books::{BookAccess, connections, imports};
use crate::rates;
use crate::server::page::PageQuery;
use crate::server::problem::Problem;
use crate::state::AppState;
use crate::store::WriteTx;
use crate::workspaces::{self, profiles, settings::Change};

/// Who the demo books belong to.
pub(crate) const EMAIL: &str = "demo@example.com";
/// Monthly rates need a long reach.
const RATE_MAX_AGE_HOURS: u32 = 800;
const RATES: &str = include_str!("data/rates.csv");

/// Label, where its bitcoin sits, and the file of each connection.
const FEEDS: [(&str, &str, &str); 4] = [
    ("saver", "managed", include_str!("data/saver.csv")),
    ("wallet", "on_chain", include_str!("data/wallet.csv")),
    ("merchant", "managed", include_str!("data/merchant.csv")),
    ("lightning", "lightning", include_str!("data/lightning.csv")),
];

/// The demo books.
pub(crate) struct Demo {
    /// The way to them.
    pub(crate) access: BookAccess,
    /// The password of [`EMAIL`]; only when the user was made just now.
    pub(crate) password: Option<Zeroizing<String>>,
    /// Whether the books were there already.
    pub(crate) found: bool,
}

/// Finds the demo books, or makes what is missing of them.
pub(crate) async fn open(state: &AppState) -> Result<Demo, Problem> {
    let (user, password) = match state.identity.find(EMAIL).await? {
        Some(user) => (user, None),
        None => {
            let password = random_password()?;
            let (user, _) = state.identity.register(EMAIL.to_owned(), password.clone()).await?;
            (user, Some(password))
        }
    };
    let (workspace, profile) = state.store.write(move |tx| ensure_profile(tx, user)).await?;
    let access = BookAccess::prove(state, user, workspace, profile).await?;
    let found = access.read(|book| book.totals()).await?.events > 0;
    if !found {
        fill(&access).await?;
    }
    Ok(Demo { access, password, found })
}

/// A password nobody has to think of.
pub(crate) fn random_password() -> Result<Zeroizing<String>, Problem> {
    let mut bytes = [0; 15];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem::internal(&"the system gave no randomness"))?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes)))
}

/// The user's first workspace and profile, made if there are none.
fn ensure_profile(tx: &WriteTx, user: Uuid) -> Result<(Uuid, Uuid), Problem> {
    let first = PageQuery { limit: Some(1), cursor: None };
    let workspace = match workspaces::list(tx, user, &first)?.items.first() {
        Some((id, _)) => *id,
        None => workspaces::create(tx, user, "demo")?.0,
    };
    let profile = match profiles::list(tx, user, workspace, &first)?.items.first() {
        Some((id, _)) => *id,
        None => {
            let change = Change { rate_max_age_hours: Some(RATE_MAX_AGE_HOURS), ..Change::default() };
            profiles::create(tx, user, workspace, ("label", "demo books"), change)?.0
        }
    };
    Ok((workspace, profile))
}

async fn fill(access: &BookAccess) -> Result<(), Problem> {
    let (user, points) = (access.user, rates::parse_csv(RATES.as_bytes())?);
    access.state.store.write::<_, Problem, _>(move |tx| Ok(rates::import(tx, user, &points)?)).await?;
    let known = access.read(|book| book.connections()).await?;
    for (label, holds, csv) in FEEDS {
        let row = match known.iter().find(|row| row.label == label) {
            Some(row) => row.clone(),
            None => connections::create(access, label, "Custom", Some(json!({ "holds": holds }))).await?,
        };
        imports::import(access, connections::id(&row), csv.as_bytes(), false).await?;
    }
    imports::process(access, false).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::open;
    use crate::{AppState, Config};

    #[tokio::test]
    async fn the_demo_is_filled_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = AppState::open(Config::for_data_dir(dir.path())).await.unwrap();
        let first = open(&state).await.unwrap();
        assert!(!first.found && first.password.is_some());
        let header = first.access.read(|book| book.header()).await.unwrap();
        assert_eq!((header.non_final, header.quarantined), (false, 0));
        let again = open(&state).await.unwrap();
        assert!(again.found && again.password.is_none());
        assert_eq!(again.access.profile_id, first.access.profile_id);
        let version = again.access.read(|book| book.header()).await.unwrap().book_version;
        assert_eq!(version, header.book_version);
    }
}
