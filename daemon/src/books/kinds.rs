//! The kinds of connections and what configures each: one typed configuration per kind, checked before it is stored.
//!
//! Invariants: a configuration that is stored can be read again and used; it holds public data only. Kinds of later
//! versions are known by name and refused with a word about what there is.

use nacre_engine::model::{Connection, Rail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::chain::{Network, SpecError, WalletSpec};
use crate::server::extract;
use crate::server::problem::{Code, Problem};

/// Kinds of this version.
pub(crate) const AVAILABLE: [&str; 3] = ["Descriptor", "Address", "Custom"];
/// Kinds of later versions.
const LATER: [&str; 6] = ["XPub", "CoreLn", "Lnd", "Nwc", "Phoenix", "River"];

/// An output descriptor wallet, read from the profile's chain source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DescriptorConfig {
    /// Public output descriptor; ranged (`/*`), single or multipath (`/<0;1>/*`).
    descriptor: String,
    /// Descriptor of the change addresses, unless the descriptor is multipath.
    change_descriptor: Option<String>,
    /// Unused addresses in a row after which a scan stops.
    #[schema(minimum = 1, maximum = 10000, default = 20)]
    gap_limit: Option<u32>,
    /// `mainnet`, `testnet`, `testnet4`, `signet` or `regtest`; by default what the keys tell.
    network: Option<String>,
    /// Block of the wallet's first transaction, for sources that scan blocks; Electrum needs none.
    wallet_first_tx_block_height: Option<u32>,
}

/// A fixed list of addresses, read from the profile's chain source.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddressConfig {
    /// Addresses of one network.
    addresses: Vec<String>,
    /// `mainnet`, `testnet`, `testnet4`, `signet` or `regtest`; by default what the addresses tell.
    network: Option<String>,
}

/// A feed of CSV files.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomConfig {
    /// Where the bitcoin of this feed sits; by default with a custodian.
    #[serde(default)]
    holds: Holds,
}

/// Where bitcoin sits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holds {
    /// Own keys on chain.
    OnChain,
    /// Own Lightning channels.
    Lightning,
    /// A custodian, exchange or payment processor.
    #[default]
    Managed,
}

/// A checked configuration.
#[derive(Clone, Debug)]
pub(crate) enum Configuration {
    /// An output descriptor wallet.
    Descriptor(DescriptorConfig),
    /// A list of addresses.
    Address(AddressConfig),
    /// A feed of CSV files.
    Custom(CustomConfig),
}

impl Configuration {
    /// Reads and checks what a user configures a kind (in any letter case) with.
    ///
    /// # Errors
    /// `connection_kind_unavailable` for kinds of later versions, else `invalid_field` with the path of the field.
    pub(crate) fn parse(kind: &str, configuration: Option<Value>) -> Result<Self, Problem> {
        let value = configuration.unwrap_or_else(|| json!({}));
        let parsed = match canonical(kind)? {
            "Descriptor" => Self::Descriptor(extract::value_at("configuration", value)?),
            "Address" => Self::Address(extract::value_at("configuration", value)?),
            _ => Self::Custom(extract::value_at("configuration", value)?),
        };
        parsed.complete()
    }

    /// Checks the wallet and writes out what was left to be derived.
    fn complete(mut self) -> Result<Self, Problem> {
        let Some(spec) = self.wallet().map_err(at_configuration)? else { return Ok(self) };
        let derived = spec.network().map(|network| network.name().to_owned());
        match &mut self {
            Self::Descriptor(config) => {
                config.gap_limit = Some(spec.gap_limit());
                config.network = derived;
            }
            Self::Address(config) => config.network = derived,
            Self::Custom(_) => {}
        }
        Ok(self)
    }

    /// Reads what is stored with a connection.
    pub(crate) fn stored(connection: &Connection) -> Result<Self, Problem> {
        let damaged = |error: serde_json::Error| Problem::internal(&error);
        Ok(match connection.kind.as_str() {
            "Descriptor" => Self::Descriptor(serde_json::from_str(&connection.config).map_err(damaged)?),
            "Address" => Self::Address(serde_json::from_str(&connection.config).map_err(damaged)?),
            _ => Self::Custom(serde_json::from_str(&connection.config).map_err(damaged)?),
        })
    }

    /// The form that is stored.
    pub(crate) fn to_stored(&self) -> Result<String, Problem> {
        serde_json::to_string(&self.to_json()?).map_err(|error| Problem::internal(&error))
    }

    /// The form that is shown.
    pub(crate) fn to_json(&self) -> Result<Value, Problem> {
        let shown = match self {
            Self::Descriptor(config) => serde_json::to_value(config),
            Self::Address(config) => serde_json::to_value(config),
            Self::Custom(config) => serde_json::to_value(config),
        };
        shown.map_err(|error| Problem::internal(&error))
    }

    /// The kind as it is written.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Descriptor(_) => "Descriptor",
            Self::Address(_) => "Address",
            Self::Custom(_) => "Custom",
        }
    }

    /// Which asset account the connection hangs under.
    pub(crate) const fn rail(&self) -> Rail {
        match self {
            Self::Descriptor(_) | Self::Address(_) => Rail::OnChain,
            Self::Custom(config) => match config.holds {
                Holds::OnChain => Rail::OnChain,
                Holds::Lightning => Rail::Lightning,
                Holds::Managed => Rail::Managed,
            },
        }
    }

    /// The wallet to be read from a chain source, if there is one.
    pub(crate) fn wallet(&self) -> Result<Option<WalletSpec>, SpecError> {
        match self {
            Self::Descriptor(config) => {
                let change = config.change_descriptor.as_deref();
                let network = config.network.as_deref();
                WalletSpec::parse(&config.descriptor, change, config.gap_limit, network).map(Some)
            }
            Self::Address(config) => {
                WalletSpec::addresses(&config.addresses, config.network.as_deref()).map(Some)
            }
            Self::Custom(_) => Ok(None),
        }
    }

    /// Whether this reads other coins than `old` did. How far a scan goes does not make another wallet.
    pub(crate) fn is_other_wallet(&self, old: &Self) -> bool {
        match (self, old) {
            (Self::Descriptor(new), Self::Descriptor(old)) => {
                (&new.descriptor, &new.change_descriptor, &new.network)
                    != (&old.descriptor, &old.change_descriptor, &old.network)
            }
            (Self::Address(new), Self::Address(old)) => {
                (&new.addresses, &new.network) != (&old.addresses, &old.network)
            }
            // What came from files is no matter of the configuration.
            _ => false,
        }
    }

    /// The network the wallet is on, if it is known.
    pub(crate) fn network(&self) -> Option<Network> {
        self.wallet().ok().flatten().and_then(|spec| spec.network())
    }
}

/// What the API says about a kind.
#[derive(Serialize, ToSchema)]
pub(crate) struct KindBody {
    /// The name, as `kind` takes it in any letter case.
    kind: &'static str,
    /// What it connects.
    description: &'static str,
    /// JSON schema of `configuration`.
    #[schema(value_type = Object)]
    configuration_schema: Value,
    /// A body that makes one.
    #[schema(value_type = Object)]
    example: Value,
}

/// Every kind of this version.
pub(crate) fn describe() -> Vec<KindBody> {
    // Schemas of plain structs always serialise.
    let schema = |schema| serde_json::to_value(schema).unwrap_or_default();
    vec![
        KindBody {
            kind: "Descriptor",
            description: "A wallet given by its public output descriptor, read from the profile's chain source",
            configuration_schema: schema(DescriptorConfig::schema()),
            example: json!({ "label": "my-wallet", "kind": "Descriptor", "configuration": {
                "descriptor": "wpkh([73c5da0a/84h/0h/0h]xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V/<0;1>/*)",
                "gap_limit": 20 } }),
        },
        KindBody {
            kind: "Address",
            description: "Single addresses, read from the profile's chain source",
            configuration_schema: schema(AddressConfig::schema()),
            example: json!({ "label": "donations", "kind": "Address", "configuration": {
                "addresses": ["bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"] } }),
        },
        KindBody {
            kind: "Custom",
            description: "CSV files you import, for exchanges, custodians and anything else",
            configuration_schema: schema(CustomConfig::schema()),
            example: json!({ "label": "my-exchange", "kind": "Custom", "configuration": { "holds": "managed" } }),
        },
    ]
}

fn canonical(kind: &str) -> Result<&'static str, Problem> {
    let named = |known: &&&'static str| known.eq_ignore_ascii_case(kind.trim());
    if let Some(known) = AVAILABLE.iter().find(named) {
        return Ok(known);
    }
    let list = AVAILABLE.join(", ");
    match LATER.iter().find(named) {
        Some(later) => {
            let message = format!(
                "connections of the kind {later} come with a later version; this one has {list}. \
                 Export a CSV and import it into a Custom connection meanwhile"
            );
            let details = json!({ "field": "kind", "available": AVAILABLE });
            Err(Problem::new(Code::ConnectionKindUnavailable, message).with_details(details))
        }
        None => Err(Problem::field("kind", format!("kind must be one of {list}"))),
    }
}

fn at_configuration(error: SpecError) -> Problem {
    let field = format!("configuration.{}", error.field);
    let message = format!("{field} {}", error.message);
    Problem::field(&field, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Configuration, describe};
    use crate::server::problem::Code;
    use nacre_engine::model::Rail;
    use serde_json::{Value, json};

    #[test]
    fn every_example_is_accepted_and_its_schema_names_its_fields() {
        for kind in describe() {
            let configuration = kind.example["configuration"].clone();
            let parsed =
                Configuration::parse(&kind.kind.to_uppercase(), Some(configuration.clone())).unwrap();
            assert_eq!(parsed.kind(), kind.kind);
            for field in configuration.as_object().unwrap().keys() {
                assert!(kind.configuration_schema["properties"][field].is_object(), "{field}");
            }
        }
    }

    #[test]
    fn what_was_left_out_is_derived() {
        let parsed =
            Configuration::parse("descriptor", Some(describe().remove(0).example["configuration"].take()));
        let shown = parsed.unwrap().to_json().unwrap();
        assert_eq!((&shown["network"], &shown["gap_limit"]), (&json!("mainnet"), &json!(20)));
        assert_eq!(Configuration::parse("custom", None).unwrap().rail(), Rail::Managed);
        let lightning = Configuration::parse("custom", Some(json!({ "holds": "lightning" }))).unwrap();
        assert_eq!(lightning.rail(), Rail::Lightning);
    }

    #[test]
    fn mistakes_name_their_field() {
        for (kind, configuration, field) in [
            ("descriptor", json!({}), "configuration.descriptor"),
            ("descriptor", json!({ "descriptor": "wpkh(nonsense)" }), "configuration.descriptor"),
            ("descriptor", json!({ "descriptor": 7 }), "configuration.descriptor"),
            ("descriptor", json!({ "descriptor": "x", "rune": "y" }), "configuration.rune"),
            ("address", json!({ "addresses": ["bc1nonsense"] }), "configuration.addresses"),
            ("address", json!({ "addresses": [1] }), "configuration.addresses[0]"),
            ("custom", json!({ "holds": "cash" }), "configuration.holds"),
            ("custom", json!({ "csv_mapping": {} }), "configuration.csv_mapping"),
            ("custom", Value::Bool(true), "configuration"),
            ("carrier pigeon", json!({}), "kind"),
        ] {
            let problem = Configuration::parse(kind, Some(configuration.clone())).unwrap_err();
            assert_eq!(problem.code(), Code::InvalidField, "{kind} {configuration}");
            let shown = format!("{problem:?}");
            assert!(shown.contains(&format!("\"field\": String(\"{field}\")")), "{field} not in {shown}");
        }
    }

    #[test]
    fn later_kinds_say_what_there_is() {
        for kind in ["xpub", "CoreLn", "LND", "nwc", "Phoenix", "river"] {
            let problem = Configuration::parse(kind, None).unwrap_err();
            assert_eq!(problem.code(), Code::ConnectionKindUnavailable, "{kind}");
        }
    }
}
