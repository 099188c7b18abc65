//! Rows of `system.redb` as earlier versions of the server wrote them, and what they are now.

use serde::Deserialize;
use uuid::Uuid;

use super::record::{GainsAlgorithm, LotScope, Profile, Settings, TransferFeeTreatment};

/// A profile without policies of a later day.
#[derive(Deserialize)]
struct ProfileV1 {
    label: String,
    created_at_ms: i64,
    settings: SettingsV1,
}

#[derive(Deserialize)]
struct SettingsV1 {
    fiat_currency: String,
    gains_algorithm: GainsAlgorithm,
    lot_scope: LotScope,
    timezone: String,
    transfer_fee_treatment: TransferFeeTreatment,
    rate_max_age_hours: u32,
    tor_proxy: Option<String>,
    onchain_config: Option<Uuid>,
}

/// A profile from the body of an older row.
pub(super) fn profile(version: u8, body: &[u8]) -> Option<Profile> {
    if version != 1 {
        return None;
    }
    let (row, rest) = postcard::take_from_bytes::<ProfileV1>(body).ok()?;
    let old = row.settings;
    let settings = Settings {
        fiat_currency: old.fiat_currency,
        gains_algorithm: old.gains_algorithm,
        lot_scope: old.lot_scope,
        policies: Vec::new(),
        timezone: old.timezone,
        transfer_fee_treatment: old.transfer_fee_treatment,
        rate_max_age_hours: old.rate_max_age_hours,
        tor_proxy: old.tor_proxy,
        onchain_config: old.onchain_config,
    };
    rest.is_empty().then_some(Profile { label: row.label, created_at_ms: row.created_at_ms, settings })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::codec::{decode, encode};
    use super::super::record::{GainsAlgorithm, LotScope, Profile};

    #[test]
    fn a_profile_of_the_first_version_has_no_policies_and_is_written_anew_as_it_is_now() {
        // Label, time, USD, LIFO, connection, UTC, carry_basis, 25 hours, no proxy, no chain source.
        let body = b"\x04main\x0e\x03USD\x01\x01\x03UTC\x01\x19\x00\x00";
        let old = [&[1], body.as_slice()].concat();
        let profile = decode::<Profile>("profiles", &old).unwrap();
        assert_eq!((profile.label.as_str(), profile.created_at_ms), ("main", 7));
        let settings = &profile.settings;
        assert_eq!(
            (settings.gains_algorithm, settings.lot_scope),
            (GainsAlgorithm::Lifo, LotScope::Connection)
        );
        assert_eq!((settings.rate_max_age_hours, settings.policies.len()), (25, 0));
        let new = encode("profiles", &profile).unwrap();
        assert_eq!((new[0], decode::<Profile>("profiles", &new).unwrap()), (2, profile));
        for cut in 0..old.len() {
            assert!(decode::<Profile>("profiles", &old[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode::<Profile>("profiles", &[old, vec![0]].concat()).is_err());
    }
}
