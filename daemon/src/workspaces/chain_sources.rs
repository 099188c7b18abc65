//! Chain sources (onchain configs in the API): where a workspace reads the chain. A source may be selected
//! for one profile or as the default of the workspace. This version reads Electrum servers.

use uuid::Uuid;

use super::{checked_label, owned as owned_workspace, profiles};
use crate::clock;
use crate::server::page::{Page, PageQuery, id_key};
use crate::server::problem::{Code, Problem};
use crate::store::record::{OnchainConfig, OnchainKind, Profile};
use crate::store::{Rows, WriteTx, tables};

/// A chain source as asked for. Field names in refusals carry `prefix`, because `profiles/setup` names them
/// `onchain_…`.
pub(crate) struct NewSource {
    /// `""` or `"onchain_"`.
    pub(crate) prefix: &'static str,
    /// Name for people.
    pub(crate) label: String,
    /// `Electrum`, in any letter case.
    pub(crate) kind: String,
    /// `tcp://host:port` or `ssl://host:port`.
    pub(crate) url: String,
}

/// What changes in a chain source; `None` stays.
#[derive(Default)]
pub(crate) struct SourceChange {
    /// Name for people.
    pub(crate) label: Option<String>,
    /// `Electrum`.
    pub(crate) kind: Option<String>,
    /// `tcp://host:port` or `ssl://host:port`.
    pub(crate) url: Option<String>,
}

/// The chain source, if it lies in a workspace of the user.
pub(crate) fn owned(tx: &impl Rows, user: Uuid, workspace: Uuid, id: Uuid) -> Result<OnchainConfig, Problem> {
    owned_workspace(tx, user, workspace)?;
    find(tx, workspace, id)?.ok_or_else(|| Problem::not_found("onchain config"))
}

/// The chain source of a workspace the caller already owns.
pub(super) fn find(tx: &impl Rows, workspace: Uuid, id: Uuid) -> Result<Option<OnchainConfig>, Problem> {
    Ok(tx.get(&tables::ONCHAIN_CONFIGS, key(workspace, id))?)
}

/// The chain source a profile reads: its own, else the default of its workspace.
pub(crate) fn effective(
    tx: &impl Rows,
    user: Uuid,
    workspace: Uuid,
    profile: &Profile,
) -> Result<Option<(Uuid, OnchainConfig)>, Problem> {
    let default = owned_workspace(tx, user, workspace)?.default_onchain_config;
    let Some(id) = profile.settings.onchain_config.or(default) else { return Ok(None) };
    Ok(find(tx, workspace, id)?.map(|row| (id, row)))
}

/// Makes a chain source.
pub(crate) fn create(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    new: &NewSource,
) -> Result<(Uuid, OnchainConfig), Problem> {
    owned_workspace(tx, user, workspace)?;
    let row = OnchainConfig {
        label: checked_label(&format!("{}label", new.prefix), &new.label)?,
        kind: checked_kind(&format!("{}kind", new.prefix), &new.kind)?,
        url: checked_url(&format!("{}url", new.prefix), &new.url)?,
        created_at_ms: clock::now_ms(),
    };
    let id = Uuid::now_v7();
    tx.put(&tables::ONCHAIN_CONFIGS, key(workspace, id), &row)?;
    Ok((id, row))
}

/// A page of the workspace's chain sources, oldest first.
pub(crate) fn list(
    tx: &impl Rows,
    user: Uuid,
    workspace: Uuid,
    query: &PageQuery,
) -> Result<Page<(Uuid, OnchainConfig)>, Problem> {
    owned_workspace(tx, user, workspace)?;
    let (limit, from) = query.after_id()?;
    let range = key(workspace, Uuid::from_u128(from))..=key(workspace, Uuid::max());
    let rows =
        tx.scan(&tables::ONCHAIN_CONFIGS, range, limit + 1, |key, row| (Uuid::from_u128(key.1), row))?;
    Ok(Page::cut(rows, limit, |(id, _)| id_key(*id)))
}

/// Changes a chain source.
pub(crate) fn change(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    id: Uuid,
    change: &SourceChange,
) -> Result<OnchainConfig, Problem> {
    let mut row = owned(tx, user, workspace, id)?;
    if let Some(label) = &change.label {
        row.label = checked_label("label", label)?;
    }
    if let Some(kind) = &change.kind {
        row.kind = checked_kind("kind", kind)?;
    }
    if let Some(url) = &change.url {
        row.url = checked_url("url", url)?;
    }
    tx.put(&tables::ONCHAIN_CONFIGS, key(workspace, id), &row)?;
    Ok(row)
}

/// Selects a chain source for one profile, or as the default of the workspace.
pub(crate) fn select(
    tx: &WriteTx,
    user: Uuid,
    workspace: Uuid,
    id: Uuid,
    profile: Option<Uuid>,
) -> Result<OnchainConfig, Problem> {
    let row = owned(tx, user, workspace, id)?;
    match profile {
        Some(profile_id) => {
            let mut profile = profiles::owned(tx, user, workspace, profile_id)?;
            profile.settings.onchain_config = Some(id);
            profiles::put(tx, workspace, profile_id, &profile)?;
        }
        None => {
            let mut holder = owned_workspace(tx, user, workspace)?;
            holder.default_onchain_config = Some(id);
            super::put(tx, user, workspace, &holder)?;
        }
    }
    Ok(row)
}

/// Removes a chain source nobody reads.
pub(crate) fn delete(tx: &WriteTx, user: Uuid, workspace: Uuid, id: Uuid) -> Result<(), Problem> {
    owned(tx, user, workspace, id)?;
    let inside = key(workspace, Uuid::nil())..=key(workspace, Uuid::max());
    let users = tx.scan(&tables::PROFILES, inside, usize::MAX, |_, row| row.settings.onchain_config)?;
    if users.contains(&Some(id)) {
        let message = "a profile reads this onchain config; select another for it first";
        return Err(Problem::new(Code::StillInUse, message));
    }
    let mut holder = owned_workspace(tx, user, workspace)?;
    if holder.default_onchain_config == Some(id) {
        holder.default_onchain_config = None;
        super::put(tx, user, workspace, &holder)?;
    }
    tx.remove(&tables::ONCHAIN_CONFIGS, key(workspace, id))?;
    Ok(())
}

fn checked_kind(field: &str, kind: &str) -> Result<OnchainKind, Problem> {
    match kind.to_ascii_lowercase().as_str() {
        "electrum" => Ok(OnchainKind::Electrum),
        "esplora" | "bitcoinrpc" => Err(Problem::new(
            Code::ChainSourceUnavailable,
            "this version reads Electrum servers; set the kind to Electrum and give its tcp:// or ssl:// address",
        )
        .with_details(serde_json::json!({ "field": field }))),
        _ => Err(Problem::field(field, format!("{field} must be Electrum"))),
    }
}

fn checked_url(field: &str, url: &str) -> Result<String, Problem> {
    let fail = || {
        let message = format!("{field} must look like tcp://host:50001 or ssl://host:50002");
        Problem::field(field, message)
    };
    let (scheme, address) = url.split_once("://").ok_or_else(fail)?;
    if !matches!(scheme, "tcp" | "ssl") || !is_host_port(address) {
        return Err(fail());
    }
    Ok(url.to_owned())
}

/// Whether the text is `host:port` with a name, an IPv4 address or an IPv6 address in brackets.
pub(super) fn is_host_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    let port_ok = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_')
        }
    };
    port_ok && host_ok
}

fn key(workspace: Uuid, id: Uuid) -> (u128, u128) {
    (workspace.as_u128(), id.as_u128())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{checked_kind, checked_url};
    use crate::server::problem::Code;

    #[test]
    fn electrum_addresses_are_scheme_host_and_port() {
        for good in
            ["tcp://127.0.0.1:50001", "ssl://e.example.org:50002", "tcp://[::1]:1", "tcp://a_b.onion:1"]
        {
            assert!(checked_url("url", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:50001",
            "http://h:1",
            "tcp://h",
            "tcp://h:0",
            "tcp://h:65536",
            "tcp://:1",
            "tcp://h:1/",
            "tcp://u@h:1",
            "tcp://h:+1",
            "tcp://::1:1",
        ] {
            assert_eq!(checked_url("url", bad).unwrap_err().code(), Code::InvalidField, "{bad}");
        }
    }

    #[test]
    fn other_kinds_say_what_this_version_reads() {
        assert!(checked_kind("kind", "electrum").is_ok());
        assert_eq!(checked_kind("kind", "Esplora").unwrap_err().code(), Code::ChainSourceUnavailable);
        assert_eq!(checked_kind("kind", "BitcoinRpc").unwrap_err().code(), Code::ChainSourceUnavailable);
        assert_eq!(checked_kind("kind", "carrier pigeon").unwrap_err().code(), Code::InvalidField);
    }
}
