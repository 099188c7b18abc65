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
        self.network.is_none_or(|own| own == network)
            && self.key_kind.is_none_or(|kind| kind == network.kind())
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
    pub(super) fn script(
        &self,
        secp: &Secp256k1<VerifyOnly>,
        keychain: u32,
        index: u32,
    ) -> Option<ScriptBuf> {
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
    let secret =
        |word: &str| word.get(1..4).is_some_and(|mark| mark.eq_ignore_ascii_case("prv")) || wif(word);
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
        return Some(
            "contains a ypub, zpub or similar key; write the same key as xpub (tpub on test networks)",
        );
    }
    if !body.contains('(') && ["xpub", "tpub"].iter().any(key_starts) {
        return Some("is a bare key; say how it is used, e.g. wpkh(xpub…/<0;1>/*)");
    }
    if body.starts_with("addr(") || body.starts_with("raw(") || body.starts_with("combo(") {
        return Some(
            "uses addr, raw or combo; give the wallet's own descriptor, e.g. wpkh(…), sh(…), wsh(…) or tr(…)",
        );
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
        (Some(NetworkKind::Main), Some(NetworkKind::Test)) => Err(SpecError::new(
            field,
            "has a tpub key, which mainnet does not use; give the xpub or change network",
        )),
        (Some(NetworkKind::Test), Some(NetworkKind::Main)) => Err(SpecError::new(
            field,
            "has an xpub key, which test networks do not use; give the tpub or set network to mainnet",
        )),
        _ => Ok(found),
    }
}

fn address_kind(address: &Address<NetworkUnchecked>) -> NetworkKind {
    if address.is_valid_for_network(bitcoin::Network::Bitcoin) {
        NetworkKind::Main
    } else {
        NetworkKind::Test
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    // Account keys of the BIP-39 test words "abandon … about": m/84'/0'/0' and m/84'/1'/0', and BIP-32's first vector.
    const XPUB: &str = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V";
    const ZPUB: &str = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs";
    const TPUB: &str = "tpubDC8msFGeGuwnKG9Upg7DM2b4DaRqg3CUZa5g8v2SRQ6K4NSkxUgd7HsL2XVWbVm39yBA4LAxysQAm397zwQSQoQgewGiYZqrA9DsP4zbQ1M";
    const XPUB_OTHER: &str = "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2gZ29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8";
    const XPRV: &str = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi";
    const WIF: &str = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ";
    const POINT: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    /// Fills in the keys above.
    fn with_keys(text: &str) -> String {
        [("XPUB2", XPUB_OTHER), ("XPUB", XPUB), ("ZPUB", ZPUB), ("TPUB", TPUB), ("XPRV", XPRV), ("WIF", WIF)]
            .iter()
            .chain(&[("POINT", POINT), ("FP", "73c5da0a")])
            .fold(text.to_owned(), |text, (name, key)| text.replace(name, key))
    }

    fn parse(descriptor: &str, change: Option<&str>, network: Option<&str>) -> Result<WalletSpec, SpecError> {
        WalletSpec::parse(&with_keys(descriptor), change.map(with_keys).as_deref(), None, network)
    }

    fn address(spec: &WalletSpec, keychain: u32, index: u32, network: bitcoin::Network) -> String {
        let script = spec.script(&Secp256k1::verification_only(), keychain, index).unwrap();
        Address::from_script(&script, network).unwrap().to_string()
    }

    #[test]
    fn a_multipath_descriptor_derives_the_published_addresses() {
        let spec = parse("wpkh([FP/84h/0h/0h]XPUB/<0;1>/*)", None, Some("mainnet")).unwrap();
        let main = bitcoin::Network::Bitcoin;
        assert_eq!(spec.keychains(), 2);
        assert_eq!(address(&spec, 0, 0, main), "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
        assert_eq!(address(&spec, 0, 1, main), "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g");
        assert_eq!(address(&spec, 1, 0, main), "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el");
        let pair = parse("wpkh(XPUB/0/*)", Some("wpkh(XPUB/1/*)"), None).unwrap();
        assert_eq!(address(&pair, 0, 1, main), address(&spec, 0, 1, main));
        assert_eq!(address(&pair, 1, 7, main), address(&spec, 1, 7, main));
        let test = parse("wpkh([FP/84'/1'/0']TPUB/0/*)", None, Some("signet")).unwrap();
        assert_eq!(
            address(&test, 0, 0, bitcoin::Network::Signet),
            "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl"
        );
    }

    #[test]
    fn good_descriptors_of_every_kind_and_network_are_read() {
        let cases = [
            ("wpkh(XPUB/0/*)", None, 1),
            ("wpkh(XPUB/0/*)", Some("mainnet"), 1),
            ("pkh([FP/44h/0h/0h]XPUB/<0;1>/*)", Some("bitcoin"), 2),
            ("sh(wpkh([FP/49H/0H/0H]XPUB/0/*))", Some("mainnet"), 1),
            ("tr([FP/86'/0'/0']XPUB/<0;1>/*)", Some("mainnet"), 2),
            ("tr(TPUB/0/*)", Some("regtest"), 1),
            ("wpkh(TPUB/0/*)", Some("testnet"), 1),
            ("wpkh(TPUB/0/*)", Some("testnet4"), 1),
            ("wpkh(TPUB/0/*)", Some("signet"), 1),
            ("wpkh(TPUB/0/*)", None, 1),
            ("wsh(sortedmulti(2,[FP/48h/0h/0h/2h]XPUB/<0;1>/*,XPUB2/<0;1>/*))", Some("mainnet"), 2),
            ("wsh(and_v(v:pk(XPUB/0/*),older(144)))", Some("mainnet"), 1),
            ("wpkh(XPUB/<0;1;2>/*)", None, 3),
            ("wpkh(XPUB/0/5)", None, 1),
            ("wpkh(POINT)", Some("regtest"), 1),
            ("pkh(POINT)", None, 1),
            ("  wpkh(XPUB/0/*)\n", None, 1),
        ];
        for (descriptor, network, keychains) in cases {
            let spec = parse(descriptor, None, network).unwrap_or_else(|e| panic!("{descriptor}: {e}"));
            assert_eq!(spec.keychains(), keychains, "{descriptor}");
            assert!(spec.script(&Secp256k1::verification_only(), 0, INDEX_END - 1).is_some(), "{descriptor}");
        }
    }

    #[test]
    fn all_hardened_markers_mean_the_same() {
        let forms = ["[FP/84h/0h/0h]", "[FP/84H/0H/0H]", "[FP/84'/0'/0']", "[FP/84'/0h/0H]"];
        let prints =
            forms.map(|origin| parse(&format!("wpkh({origin}XPUB/0/*)"), None, None).unwrap().fingerprint());
        assert!(prints.iter().all(|print| *print == prints[0]));
        // An H inside or at the end of a key stays what it is.
        assert_eq!(lower_hardened("wpkh(xpub5H/0H/1Hx/<0H;1H>/*H)"), "wpkh(xpub5H/0h/1Hx/<0h;1h>/*h)");
        assert_eq!(lower_hardened("H(5H,5H)"), "H(5H,5H)");
    }

    #[test]
    fn a_checksum_is_verified_when_there_is_one() {
        let body = with_keys("wpkh([FP/84H/0H/0H]XPUB/0/*)");
        let sum = desc_checksum(&body).unwrap();
        assert!(WalletSpec::parse(&format!("{body}#{sum}"), None, None, None).is_ok());
        for bad in ["#", "#qqqqqqqq", "#q", &format!("#{sum}q"), "#é"] {
            let error = WalletSpec::parse(&format!("{body}{bad}"), None, None, None).unwrap_err();
            assert!(error.message.contains("checksum"), "{bad}: {error}");
        }
    }

    #[test]
    fn bad_descriptors_name_their_field_and_never_repeat_what_was_typed() {
        let good = "wpkh(XPUB/0/*)";
        let cases = [
            ("", None, None, "descriptor", "output descriptor"),
            ("nonsense", None, None, "descriptor", "not a descriptor"),
            ("wpkh([fingerprint/84h/0h/0h]xpub.../0/*)", None, None, "descriptor", "not a descriptor"),
            ("wpkh(XPUB/0/*", None, None, "descriptor", "not a descriptor"),
            ("wpkh(XPUBx/0/*)", None, None, "descriptor", "not a descriptor"),
            ("wpkh(é)", None, None, "descriptor", "not a descriptor"),
            ("tr(", None, None, "descriptor", "not a descriptor"),
            ("XPUB", None, None, "descriptor", "bare key"),
            ("wpkh(ZPUB/0/*)", None, None, "descriptor", "zpub"),
            ("ZPUB", None, None, "descriptor", "zpub"),
            ("addr(bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu)", None, None, "descriptor", "addr"),
            ("wpkh(XPRV/0/*)", None, None, "descriptor", "private key"),
            ("XPRV", None, None, "descriptor", "private key"),
            ("wpkh(WIF)", None, None, "descriptor", "private key"),
            (
                "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
                None,
                None,
                "descriptor",
                "seed words",
            ),
            ("wpkh(XPUB/0/*h)", None, None, "descriptor", "hardened wildcard"),
            ("wpkh(XPUB/0/*H)", None, None, "descriptor", "hardened wildcard"),
            ("wpkh(XPUB/84h/0/*)", None, None, "descriptor", "hardened step"),
            ("wpkh(XPUB/<0;0>/*)", None, None, "descriptor", "twice"),
            ("wsh(multi(1,XPUB/<0;1>/*,XPUB2/<0;1;2>/*))", None, None, "descriptor", ""),
            ("wsh(multi(1,XPUB/0/*,TPUB/0/*))", None, None, "descriptor", "mixes"),
            ("wsh(0)", None, None, "descriptor", ""),
            (good, None, Some("testnet"), "descriptor", "tpub"),
            (good, None, Some("regtest"), "descriptor", "tpub"),
            ("wpkh(TPUB/0/*)", None, Some("mainnet"), "descriptor", "xpub"),
            (good, None, Some("dogecoin"), "network", "mainnet"),
            (good, Some(good), None, "change_descriptor", "same"),
            (good, Some("wpkh(XPUB/<1;2>/*)"), None, "change_descriptor", "single path"),
            ("wpkh(XPUB/<0;1>/*)", Some("wpkh(XPUB/1/*)"), None, "change_descriptor", "left out"),
            (good, Some("wpkh(TPUB/1/*)"), None, "change_descriptor", "tpub"),
            (good, Some("XPRV"), None, "change_descriptor", "private key"),
            (good, Some(""), None, "change_descriptor", "output descriptor"),
        ];
        for (descriptor, change, network, field, hint) in cases {
            let error = parse(descriptor, change, network).expect_err(descriptor);
            assert_eq!(error.field, field, "{descriptor}: {error}");
            assert!(error.message.contains(hint), "{descriptor}: {error}");
            let typed = with_keys(descriptor) + &change.map(with_keys).unwrap_or_default();
            let parts = typed.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| part.len() > 20);
            parts.for_each(|part| assert!(!error.to_string().contains(part), "{error}"));
            assert!(!error.to_string().contains("abandon"), "{error}");
        }
    }

    #[test]
    fn the_gap_limit_has_bounds() {
        let parse = |gap| WalletSpec::parse(&with_keys("wpkh(XPUB/0/*)"), None, gap, None);
        assert_eq!(parse(None).unwrap().gap_limit(), 20);
        assert_eq!(parse(Some(10_000)).unwrap().look_until(0, 5), 10_005);
        for bad in [0, 10_001, u32::MAX] {
            assert_eq!(parse(Some(bad)).unwrap_err().field, "gap_limit");
        }
        assert_eq!(parse(Some(10_000)).unwrap().look_until(0, INDEX_END), INDEX_END);
    }

    #[test]
    fn a_wallet_fits_the_networks_of_its_keys() {
        let xpub = parse("wpkh(XPUB/0/*)", None, None).unwrap();
        assert!(xpub.fits(Network::MAINNET) && !xpub.fits(Network::REGTEST));
        assert_eq!(xpub.network(), Some(Network::MAINNET));
        let tpub = parse("wpkh(TPUB/0/*)", None, None).unwrap();
        assert!(!tpub.fits(Network::MAINNET) && tpub.fits(Network::REGTEST));
        assert_eq!(tpub.network(), None);
        let point = parse("wpkh(POINT)", None, Some("regtest")).unwrap();
        assert!(!point.fits(Network::MAINNET) && point.fits(Network::REGTEST));
    }

    #[test]
    fn address_lists_are_read_and_checked() {
        let main = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu".to_owned();
        let old = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa".to_owned();
        let test = "tb1q6rz28mcfaxtmd6v789l9rrlrusdprr9pqcpvkl".to_owned();
        let spec = WalletSpec::addresses(&[main.clone(), old, main.clone()], None).unwrap();
        assert_eq!((spec.look_until(0, 0), spec.network()), (2, Some(Network::MAINNET)));
        assert!(WalletSpec::addresses(std::slice::from_ref(&test), Some("signet")).is_ok());
        for (list, network) in [
            (vec![], None),
            (vec![main.clone(), test.clone()], None),
            (vec![test], Some("regtest")),
            (vec![main], Some("testnet")),
            (vec!["bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyx".into()], None),
            (vec![WIF.into()], None),
        ] {
            let error = WalletSpec::addresses(&list, network).unwrap_err();
            assert_eq!(error.field, "addresses", "{list:?}");
            assert!(!error.message.contains(WIF));
        }
    }
}
