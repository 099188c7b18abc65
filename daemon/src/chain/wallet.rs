//! [`WalletSpec`]: which scripts a wallet watches, read from what a user typed.
//!
//! Invariants: public keys only; every script it names can be derived (nothing below panics on a hardened step). It
//! refuses private keys, seed words and keys of another network, and never repeats what was typed in a message.

use std::str::FromStr;

use bitcoin::address::{Address, NetworkUnchecked};
use bitcoin::secp256k1::{Secp256k1, VerifyOnly};
use bitcoin::{NetworkKind, PrivateKey, ScriptBuf};
use miniscript::descriptor::checksum::desc_checksum;
use miniscript::descriptor::{DescriptorPublicKey, Wildcard};
use miniscript::{Descriptor, ForEachKey};
use ring::digest;

use super::error::SpecError;
use super::network::Network;

/// Unused addresses in a row after which a scan stops, unless the user says otherwise.
const GAP_LIMIT_DEFAULT: u32 = 20;
/// The largest gap limit.
const GAP_LIMIT_MAX: u32 = 10_000;
/// The longest descriptor that is read, in bytes.
const DESCRIPTOR_MAX: usize = 20_000;
/// The most addresses an address wallet may watch.
const ADDRESSES_MAX: usize = 10_000;
/// Exclusive end of the unhardened child numbers.
const INDEX_END: u32 = 1 << 31;

type PublicDescriptor = Descriptor<DescriptorPublicKey>;

/// What a wallet watches.
#[derive(Clone, Debug)]
pub struct WalletSpec {
    scripts: Scripts,
    gap_limit: u32,
    network: Option<Network>,
    key_kind: Option<NetworkKind>,
}

#[derive(Clone, Debug)]
enum Scripts {
    /// One descriptor per keychain: receive, change, …
    Descriptors(Vec<PublicDescriptor>),
    /// A fixed list.
    Fixed(Vec<ScriptBuf>),
}

impl WalletSpec {
    /// Reads a descriptor wallet.
    ///
    /// `descriptor` may be ranged (`/*`), single, or multipath (`/<0;1>/*`); `change_descriptor` goes with a descriptor
    /// that is not multipath. Hardened steps of key origins may be written `h`, `H` or `'`; a checksum is verified when
    /// there is one. Without `network` only the kind of the keys (`xpub`, `tpub`) is held against the server.
    ///
    /// # Errors
    /// A [`SpecError`] for the field `descriptor`, `change_descriptor`, `gap_limit` or `network`.
    pub fn parse(
        descriptor: &str,
        change_descriptor: Option<&str>,
        gap_limit: Option<u32>,
        network: Option<&str>,
    ) -> Result<Self, SpecError> {
        let network = network.map(Network::parse).transpose()?;
        let gap_limit = gap_limit.unwrap_or(GAP_LIMIT_DEFAULT);
        if !(1..=GAP_LIMIT_MAX).contains(&gap_limit) {
            return Err(SpecError::new("gap_limit", format!("must be between 1 and {GAP_LIMIT_MAX}")));
        }
        let mut keychains = keychains("descriptor", descriptor)?;
        let mut kind = key_kind("descriptor", &keychains, network.map(Network::kind))?;
        if let Some(change) = change_descriptor {
            let field = "change_descriptor";
            if keychains.len() > 1 {
                let message = "must be left out: the descriptor already names its change path (<0;1>)";
                return Err(SpecError::new(field, message));
            }
            let change = keychains_of_change(field, change, &keychains)?;
            kind = key_kind(field, &change, kind.or(network.map(Network::kind)))?.or(kind);
            keychains.extend(change);
        }
        Ok(WalletSpec { scripts: Scripts::Descriptors(keychains), gap_limit, network, key_kind: kind })
    }

    /// Reads a wallet that watches these addresses and nothing else.
    ///
    /// # Errors
    /// A [`SpecError`] for the field `addresses` or `network`.
    pub fn addresses(addresses: &[String], network: Option<&str>) -> Result<Self, SpecError> {
        let field = "addresses";
        let network = network.map(Network::parse).transpose()?;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(SpecError::new(field, format!("must name between 1 and {ADDRESSES_MAX} addresses")));
        }
        let mut scripts = Vec::with_capacity(addresses.len());
        let mut kind = network.map(Network::kind);
        for (place, text) in addresses.iter().enumerate() {
            let bad = |what: &str| SpecError::new(field, format!("number {} {what}", place + 1));
            refuse_secrets(field, text)?;
            let address = Address::<NetworkUnchecked>::from_str(text.trim())
                .map_err(|_| bad("is not a Bitcoin address; check it for typing errors"))?;
            let found = address_kind(&address);
            let wrong = match network {
                Some(network) => !address.is_valid_for_network(network.bitcoin()),
                None => kind.is_some_and(|kind| kind != found),
            };
            if wrong {
                return Err(bad("belongs to another network; list each network's addresses on its own"));
            }
            kind = Some(found);
            scripts.push(address.assume_checked().script_pubkey());
        }
        scripts.sort();
        scripts.dedup();
        Ok(WalletSpec { scripts: Scripts::Fixed(scripts), gap_limit: 1, network, key_kind: kind })
    }

    /// The network the user named, or the one its keys allow for sure.
    pub fn network(&self) -> Option<Network> {
        let main = self.key_kind == Some(NetworkKind::Main);
        self.network.or(main.then_some(Network::MAINNET))
    }

    /// Unused addresses in a row after which a scan stops.
    pub fn gap_limit(&self) -> u32 {
        self.gap_limit
    }

    /// Whether the wallet's keys can be used on `network`.
    pub(super) fn fits(&self, network: Network) -> bool {
        self.network.is_none_or(|own| own == network) && self.key_kind.is_none_or(|kind| kind == network.kind())
    }

    /// The wallet's network in words, for messages.
    pub(super) fn network_words(&self) -> &'static str {
        match self.network() {
            Some(network) => network.name(),
            None => "a test network",
        }
    }

    /// How many keychains there are; they are numbered from 0.
    pub(super) fn keychains(&self) -> u32 {
        match &self.scripts {
            Scripts::Descriptors(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
            Scripts::Fixed(_) => 1,
        }
    }

    /// How many scripts of a keychain to look at when `used_end` is one past the last used index.
    pub(super) fn look_until(&self, keychain: u32, used_end: u32) -> u32 {
        match &self.scripts {
            Scripts::Descriptors(list) => match list.get(keychain as usize) {
                Some(descriptor) if descriptor.has_wildcard() => {
                    used_end.saturating_add(self.gap_limit).min(INDEX_END)
                }
                Some(_) => 1,
                None => 0,
            },
            Scripts::Fixed(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
        }
    }

    /// The script at `index` of `keychain`.
    pub(super) fn script(&self, secp: &Secp256k1<VerifyOnly>, keychain: u32, index: u32) -> Option<ScriptBuf> {
        match &self.scripts {
            Scripts::Descriptors(list) => {
                let descriptor = list.get(keychain as usize)?;
                descriptor.derived_descriptor(secp, index).ok().map(|derived| derived.script_pubkey())
            }
            Scripts::Fixed(list) => list.get(index as usize).cloned(),
        }
    }

    /// A hash of what is watched. The gap limit is not part of it: a wider scan can start from a narrower one.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        match &self.scripts {
            Scripts::Descriptors(list) => {
                list.iter().for_each(|descriptor| hash.update(format!("{descriptor}\n").as_bytes()));
            }
            Scripts::Fixed(list) => {
                list.iter().for_each(|script| hash.update(format!("addr:{script:x}\n").as_bytes()));
            }
        }
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.finish().as_ref());
        bytes
    }
}

/// Reads one descriptor into one keychain per path.
fn keychains(field: &'static str, text: &str) -> Result<Vec<PublicDescriptor>, SpecError> {
    let bad = |message: &str| SpecError::new(field, message);
    let text = text.trim();
    refuse_secrets(field, text)?;
    if text.is_empty() || text.len() > DESCRIPTOR_MAX {
        return Err(bad("must be an output descriptor such as wpkh([fingerprint/84h/0h/0h]xpub…/<0;1>/*)"));
    }
    let body = without_checksum(field, text)?;
    if let Some(hint) = foreign_form(body) {
        return Err(bad(hint));
    }
    let unreadable = "is not a descriptor that can be watched; expected for example \
                      wpkh([fingerprint/84h/0h/0h]xpub…/<0;1>/*), see the wallet's export of public descriptors";
    let parsed = PublicDescriptor::from_str(&lower_hardened(body)).map_err(|_| bad(unreadable))?;
    parsed.sanity_check().map_err(|_| bad("describes coins that could not be spent safely; check it"))?;
    check_steps(field, &parsed)?;
    let uneven = "names multipath steps of different lengths; give every key the same, e.g. <0;1>";
    let list = parsed.into_single_descriptors().map_err(|_| bad(uneven))?;
    let mut scripts = Vec::with_capacity(list.len());
    for descriptor in &list {
        scripts.push(first_script(descriptor).ok_or_else(|| bad(unreadable))?);
    }
    scripts.sort();
    scripts.dedup();
    if scripts.len() < list.len() {
        return Err(bad("names the same path twice; use two different ones, e.g. <0;1>"));
    }
    Ok(list)
}

/// Reads the change descriptor, which must differ from the receive descriptor.
fn keychains_of_change(
    field: &'static str,
    text: &str,
    receive: &[PublicDescriptor],
) -> Result<Vec<PublicDescriptor>, SpecError> {
    let change = keychains(field, text)?;
    if change.len() > 1 {
        return Err(SpecError::new(field, "must have a single path; put <0;1> into the descriptor instead"));
    }
    if receive.iter().map(first_script).eq(change.iter().map(first_script)) {
        let message = "is the same as the descriptor; give the change path (often /1/*) or leave it out";
        return Err(SpecError::new(field, message));
    }
    Ok(change)
}

fn first_script(descriptor: &PublicDescriptor) -> Option<ScriptBuf> {
    let secp = Secp256k1::verification_only();
    descriptor.derived_descriptor(&secp, 0).ok().map(|derived| derived.script_pubkey())
}

/// Refuses what must never be typed here, without repeating it.
fn refuse_secrets(field: &'static str, text: &str) -> Result<(), SpecError> {
    let wif = |word: &str| matches!(word.len(), 51 | 52) && PrivateKey::from_wif(word).is_ok();
    let secret = |word: &str| word.get(1..4).is_some_and(|mark| mark.eq_ignore_ascii_case("prv")) || wif(word);
    if text.split(|c: char| !c.is_ascii_alphanumeric()).any(secret) {
        let message = "contains a private key; give the public descriptor (xpub or tpub) and treat the \
                       private key as exposed if it was sent anywhere";
        return Err(SpecError::new(field, message));
    }
    if text.split_whitespace().count() >= 12 {
        let message = "looks like seed words; never type them anywhere but into your wallet, give the public \
                       descriptor instead";
        return Err(SpecError::new(field, message));
    }
    Ok(())
}

/// Verifies the checksum if there is one and returns what stands before it.
fn without_checksum<'a>(field: &'static str, text: &'a str) -> Result<&'a str, SpecError> {
    let Some((body, checksum)) = text.split_once('#') else { return Ok(text) };
    match desc_checksum(body) {
        Ok(expected) if expected == checksum => Ok(body),
        _ => Err(SpecError::new(
            field,
            "has a wrong checksum after #; copy it again in full, or leave # and the checksum out",
        )),
    }
}

/// Recognises common inputs that are no descriptors.
fn foreign_form(body: &str) -> Option<&'static str> {
    let slip132 = ["ypub", "zpub", "upub", "vpub", "Ypub", "Zpub", "Upub", "Vpub"];
    let key_starts = |prefix: &&str| {
        body.match_indices(*prefix).any(|(at, _)| {
            body[..at].chars().next_back().is_none_or(|before| !before.is_ascii_alphanumeric())
        })
    };
    if slip132.iter().any(key_starts) {
        return Some("contains a ypub, zpub or similar key; write the same key as xpub (tpub on test networks)");
    }
    if !body.contains('(') && ["xpub", "tpub"].iter().any(key_starts) {
        return Some("is a bare key; say how it is used, e.g. wpkh(xpub…/<0;1>/*)");
    }
    if body.starts_with("addr(") || body.starts_with("raw(") || body.starts_with("combo(") {
        return Some("uses addr, raw or combo; give the wallet's own descriptor, e.g. wpkh(…), sh(…), wsh(…) or tr(…)");
    }
    None
}

/// Writes hardened markers `H` as `h`, the form the parser reads. A base58 key never follows `/`, `<` or `;`.
fn lower_hardened(body: &str) -> String {
    let bytes = body.as_bytes();
    let is_marker = |at: usize| {
        let step = bytes[..at].iter().rposition(|byte| !byte.is_ascii_digit());
        let opened = step.is_some_and(|place| {
            let wildcard = bytes[place] == b'*' && place + 1 == at && place > 0 && bytes[place - 1] == b'/';
            wildcard || (place + 1 < at && matches!(bytes[place], b'/' | b'<' | b';'))
        });
        let closed = bytes.get(at + 1).is_none_or(|byte| b"/])},;>".contains(byte));
        opened && closed
    };
    let lower = |(at, c): (usize, char)| if c == 'H' && is_marker(at) { 'h' } else { c };
    body.char_indices().map(lower).collect()
}

/// Public keys have no hardened children.
fn check_steps(field: &'static str, descriptor: &PublicDescriptor) -> Result<(), SpecError> {
    let hardened_wildcard = |key: &DescriptorPublicKey| match key {
        DescriptorPublicKey::Single(_) => false,
        DescriptorPublicKey::XPub(key) => key.wildcard == Wildcard::Hardened,
        DescriptorPublicKey::MultiXPub(key) => key.wildcard == Wildcard::Hardened,
    };
    if descriptor.for_any_key(hardened_wildcard) {
        let message = "ends in a hardened wildcard, which public keys cannot derive; use /* instead of /*h";
        return Err(SpecError::new(field, message));
    }
    if descriptor.for_any_key(DescriptorPublicKey::has_hardened_step) {
        let message = "has a hardened step after the public key; give the extended key of that step, with the \
                       steps before it in brackets as its origin";
        return Err(SpecError::new(field, message));
    }
    Ok(())
}

/// The kind of network its extended keys belong to, if there are any.
fn key_kind(
    field: &'static str,
    descriptors: &[PublicDescriptor],
    expected: Option<NetworkKind>,
) -> Result<Option<NetworkKind>, SpecError> {
    let mut found = None;
    let mut mixed = false;
    for descriptor in descriptors {
        descriptor.for_each_key(|key| {
            let kind = match key {
                DescriptorPublicKey::Single(_) => return true,
                DescriptorPublicKey::XPub(key) => key.xkey.network,
                DescriptorPublicKey::MultiXPub(key) => key.xkey.network,
            };
            mixed |= found.is_some_and(|found| found != kind);
            found = Some(kind);
            true
        });
    }
    if mixed {
        return Err(SpecError::new(field, "mixes xpub and tpub keys; all keys must be of one network"));
    }
    match (expected, found) {
        (Some(NetworkKind::Main), Some(NetworkKind::Test)) => {
            Err(SpecError::new(field, "has a tpub key, which mainnet does not use; give the xpub or change network"))
        }
        (Some(NetworkKind::Test), Some(NetworkKind::Main)) => Err(SpecError::new(
            field,
            "has an xpub key, which test networks do not use; give the tpub or set network to mainnet",
        )),
        _ => Ok(found),
    }
}

fn address_kind(address: &Address<NetworkUnchecked>) -> NetworkKind {
    if address.is_valid_for_network(bitcoin::Network::Bitcoin) { NetworkKind::Main } else { NetworkKind::Test }
}
