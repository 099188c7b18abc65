//! Settings of a profile: their defaults, and what a value may be. Settings that are stored are valid.

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::chain_sources::{self, is_host_port};
use super::policies::{self, NewPolicy};
use crate::books;
use crate::server::problem::Problem;
use crate::store::Rows;
use crate::store::record::{GainsAlgorithm, LotScope, Settings, TransferFeeTreatment};

/// Currencies of ISO 4217 in use, without funds codes and metals.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN \
    BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS \
    GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD \
    KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR \
    NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
    SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF \
    XPF YER ZAR ZMW ZWG";

const MAX_RATE_AGE_HOURS: u32 = 24 * 366;

/// What a new profile starts with.
pub(crate) fn defaults() -> Settings {
    Settings {
        fiat_currency: "USD".to_owned(),
        gains_algorithm: GainsAlgorithm::Fifo,
        lot_scope: LotScope::Universal,
        policies: Vec::new(),
        timezone: "UTC".to_owned(),
        transfer_fee_treatment: TransferFeeTreatment::Dispose,
        rate_max_age_hours: 25,
        tor_proxy: None,
        onchain_config: None,
    }
}

/// What changes: `None` stays as it is, `Some(None)` is cleared.
#[derive(Debug, Default)]
pub(crate) struct Change {
    /// ISO 4217 code.
    pub(crate) fiat_currency: Option<String>,
    /// A method, e.g. `FIFO`.
    pub(crate) gains_algorithm: Option<String>,
    /// `universal` or `connection`.
    pub(crate) lot_scope: Option<String>,
    /// All policies of later days.
    pub(crate) policies: Option<Vec<NewPolicy>>,
    /// IANA name.
    pub(crate) timezone: Option<String>,
    /// `dispose` or `carry_basis`.
    pub(crate) transfer_fee_treatment: Option<String>,
    /// Oldest rate that may value an event, in hours.
    pub(crate) rate_max_age_hours: Option<u32>,
    /// `host:port` of a SOCKS5 proxy.
    pub(crate) tor_proxy: Option<Option<String>>,
    /// Chain source of the same workspace.
    pub(crate) onchain_config: Option<Option<Uuid>>,
}

impl Change {
    /// Checks every given value and applies all or none.
    pub(crate) fn apply(self, tx: &impl Rows, workspace: Uuid, to: &mut Settings) -> Result<(), Problem> {
        let mut new = to.clone();
        if let Some(code) = self.fiat_currency {
            new.fiat_currency = checked_currency("fiat_currency", &code)?;
        }
        if let Some(word) = self.gains_algorithm {
            new.gains_algorithm = checked_algorithm("gains_algorithm", &word)?;
        }
        if let Some(word) = self.lot_scope {
            new.lot_scope = checked_lot_scope("lot_scope", &word)?;
        }
        if let Some(policies) = self.policies {
            new.policies = policies::checked(policies)?;
        }
        if let Some(name) = self.timezone {
            new.timezone = checked_timezone(&name)?;
        }
        if let Some(word) = self.transfer_fee_treatment {
            new.transfer_fee_treatment = checked_fee_treatment(&word)?;
        }
        if let Some(hours) = self.rate_max_age_hours {
            new.rate_max_age_hours = checked_rate_age(hours)?;
        }
        if let Some(proxy) = self.tor_proxy {
            new.tor_proxy = proxy.map(checked_proxy).transpose()?;
        }
        if let Some(config) = self.onchain_config {
            let known = config.map(|id| chain_sources::find(tx, workspace, id)).transpose()?;
            if known == Some(None) {
                let message = "onchain_config_id names no onchain config of this workspace; create it first";
                return Err(Problem::field("onchain_config_id", message));
            }
            new.onchain_config = config;
        }
        books::check_settings(&new)?;
        *to = new;
        Ok(())
    }
}

/// A currency code in capitals, if it is one.
pub(crate) fn checked_currency(field: &str, code: &str) -> Result<String, Problem> {
    let upper = code.to_ascii_uppercase();
    if CURRENCIES.split_ascii_whitespace().any(|known| known == upper) {
        return Ok(upper);
    }
    Err(Problem::field(field, format!("{field} must be a currency code of ISO 4217 such as USD")))
}

/// Every method.
const ALGORITHMS: [GainsAlgorithm; 6] = [
    GainsAlgorithm::Fifo,
    GainsAlgorithm::Lifo,
    GainsAlgorithm::Hifo,
    GainsAlgorithm::Lofo,
    GainsAlgorithm::AvgCost,
    GainsAlgorithm::UkS104,
];

/// The method of that name in any letter case.
pub(super) fn checked_algorithm(field: &str, word: &str) -> Result<GainsAlgorithm, Problem> {
    let named = |algorithm: &GainsAlgorithm| algorithm_word(*algorithm).eq_ignore_ascii_case(word);
    ALGORITHMS.into_iter().find(named).ok_or_else(|| {
        let words = ALGORITHMS.map(algorithm_word).join(", ");
        Problem::field(field, format!("{field} must be one of {words}"))
    })
}

pub(super) fn checked_lot_scope(field: &str, word: &str) -> Result<LotScope, Problem> {
    match word {
        "universal" => Ok(LotScope::Universal),
        "connection" => Ok(LotScope::Connection),
        _ => Err(Problem::field(field, format!("{field} must be universal or connection"))),
    }
}

fn checked_fee_treatment(word: &str) -> Result<TransferFeeTreatment, Problem> {
    match word {
        "dispose" => Ok(TransferFeeTreatment::Dispose),
        "carry_basis" => Ok(TransferFeeTreatment::CarryBasis),
        _ => {
            let message = "transfer_fee_treatment must be dispose or carry_basis";
            Err(Problem::field("transfer_fee_treatment", message))
        }
    }
}

fn checked_timezone(name: &str) -> Result<String, Problem> {
    let zone = TimeZone::get(name).ok();
    match zone.as_ref().and_then(TimeZone::iana_name) {
        Some(canonical) => Ok(canonical.to_owned()),
        None => Err(Problem::field("timezone", "timezone must be an IANA name such as Europe/Berlin or UTC")),
    }
}

fn checked_rate_age(hours: u32) -> Result<u32, Problem> {
    if (1..=MAX_RATE_AGE_HOURS).contains(&hours) {
        return Ok(hours);
    }
    let message = format!("rate_max_age_hours must be from 1 to {MAX_RATE_AGE_HOURS}");
    Err(Problem::field("rate_max_age_hours", message))
}

fn checked_proxy(proxy: String) -> Result<String, Problem> {
    if is_host_port(&proxy) {
        return Ok(proxy);
    }
    Err(Problem::field("tor_proxy", "tor_proxy must be host:port of a SOCKS5 proxy such as 127.0.0.1:9050"))
}

/// The word of an algorithm in the API.
pub(crate) const fn algorithm_word(algorithm: GainsAlgorithm) -> &'static str {
    match algorithm {
        GainsAlgorithm::Fifo => "FIFO",
        GainsAlgorithm::Lifo => "LIFO",
        GainsAlgorithm::Hifo => "HIFO",
        GainsAlgorithm::Lofo => "LOFO",
        GainsAlgorithm::AvgCost => "AVG_COST",
        GainsAlgorithm::UkS104 => "UK_S104",
    }
}

/// The word of a lot scope in the API.
pub(crate) const fn lot_scope_word(scope: LotScope) -> &'static str {
    match scope {
        LotScope::Universal => "universal",
        LotScope::Connection => "connection",
    }
}

/// The word of a fee treatment in the API.
pub(crate) const fn fee_treatment_word(treatment: TransferFeeTreatment) -> &'static str {
    match treatment {
        TransferFeeTreatment::Dispose => "dispose",
        TransferFeeTreatment::CarryBasis => "carry_basis",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{
        GainsAlgorithm, checked_algorithm, checked_currency, checked_proxy, checked_rate_age,
        checked_timezone,
    };

    #[test]
    fn values_are_what_they_say() {
        assert_eq!(checked_currency("fiat_currency", "eur").unwrap(), "EUR");
        for bad in ["", "EU", "BTC", "XAU", "USD EUR"] {
            assert!(checked_currency("fiat_currency", bad).is_err(), "{bad}");
        }
        assert_eq!(checked_timezone("Europe/Berlin").unwrap(), "Europe/Berlin");
        for bad in ["", "Mars/Olympus", "+01:00", "../etc/passwd"] {
            assert!(checked_timezone(bad).is_err(), "{bad}");
        }
        assert_eq!(checked_algorithm("x", "uk_s104").unwrap(), GainsAlgorithm::UkS104);
        assert!(checked_algorithm("x", "MAGIC").is_err());
        assert!(checked_rate_age(0).is_err() && checked_rate_age(25).is_ok());
        assert!(checked_proxy("127.0.0.1:9050".to_owned()).is_ok());
        assert!(checked_proxy("socks5://127.0.0.1".to_owned()).is_err());
    }
}
