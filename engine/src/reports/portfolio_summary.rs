//! The portfolio summary: what is held, what it is worth, what was gained so far.
//!
//! Reads the running totals, never the history. Without a rate everything that needs one is `null`, never a guess.
//! Only bitcoin is valued: fiat accounts are clearing accounts here, since the bank's side of them is not in the books.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::{net_text, percentage};
use super::{ReportContext, ReportHead};
use crate::error::{Error, Result};
use crate::journal::chart;
use crate::model::{Asset, Totals};
use crate::money::{Currency, Fiat, Msats, Rate, Rounding, muldiv};
use crate::time::Timestamp;

/// The report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortfolioSummary {
    /// Which books.
    #[serde(flatten)]
    pub head: ReportHead,
    /// The instant the books are shown at (RFC 3339, UTC); `null`: as they stand.
    pub as_of: Option<String>,
    /// Bitcoin held, in decimal satoshis.
    pub btc_balance: String,
    /// Its worth at the latest rate, in decimal major units.
    pub btc_balance_fiat: Option<String>,
    /// The rate used: price of one bitcoin in decimal major units.
    pub btc_rate_fiat: Option<String>,
    /// The instant of that rate (RFC 3339, UTC).
    pub btc_rate_timestamp: Option<String>,
    /// The worth of what can be valued.
    pub fiat_valuation: FiatValuation,
    /// What is held, per asset.
    pub balances: Vec<Holding>,
    /// Gains, realised and not.
    pub btc_capital_gains: PortfolioGains,
}

/// The worth of what can be valued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FiatValuation {
    /// The book's currency.
    pub fiat_currency: String,
    /// Decimal major units.
    pub total: Option<String>,
}

/// The holding of one asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holding {
    /// The asset.
    pub asset: AssetInfo,
    /// Decimal satoshis for bitcoin, minor units for fiat.
    pub net: String,
}

/// An asset and its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AssetInfo {
    /// `BTC` or an ISO 4217 code.
    pub ticker: String,
    /// Decimal places of the unit `net` is counted in: 8 for the satoshi, 2 for the cent.
    pub precision: u32,
}

/// Gains, realised and not; `_fiat` in decimal major units, quantities in decimal satoshis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortfolioGains {
    /// The lot selection method in force at the instant shown.
    pub algorithm: &'static str,
    /// Disposals that realised a gain or a loss.
    pub sale_count: u64,
    /// What they disposed of, fees included.
    pub total_quantity_sold: String,
    /// Their proceeds, net of fiat fees.
    pub total_proceeds_fiat: String,
    /// The cost of what they disposed of.
    pub total_cost_basis_fiat: String,
    /// Proceeds minus cost.
    pub realized_gain_fiat: String,
    /// The same in percent of that cost.
    pub realized_gain_percentage: Option<String>,
    /// Worth of all open lots minus their cost.
    pub unrealized_gain_fiat: Option<String>,
    /// The same in percent of that cost.
    pub unrealized_gain_percentage: Option<String>,
    /// Cost of all open lots.
    pub unrealized_cost_basis_fiat: String,
    /// Cost of what was disposed of and of what is still held.
    pub total_cost_basis_fiat_including_open: String,
    /// Average cost of one bitcoin still held.
    pub average_cost_basis_fiat_per_btc: Option<String>,
    /// Realised and unrealised gain together.
    pub total_gain_fiat: Option<String>,
}

/// The portfolio summary of `totals`, valued at `latest_rate` (price and its instant) where there is one.
///
/// # Errors
/// [`Error::Overflow`] when a figure leaves its range.
pub fn portfolio_summary(
    ctx: &ReportContext<'_>,
    totals: &Totals,
    latest_rate: Option<(Rate, Timestamp)>,
    as_of: Option<Timestamp>,
    snapshot_timestamp: Timestamp,
) -> Result<PortfolioSummary> {
    let currency = ctx.settings.fiat_currency;
    let rate = latest_rate.map(|(rate, _)| rate);
    let held = holdings(totals);
    let balance = held.get(&Asset::Btc).copied().unwrap_or_default();
    let balance = Msats::new(i64::try_from(balance).map_err(|_| Error::Overflow("bitcoin balance"))?);
    let worth = rate.map(|rate| rate.value(balance, currency)).transpose()?;
    let worth = worth.map(|worth| worth.to_text(currency));
    Ok(PortfolioSummary {
        head: ctx.head(snapshot_timestamp),
        as_of: as_of.map(|at| at.to_string()),
        btc_balance: balance.to_sat_text(),
        btc_balance_fiat: worth.clone(),
        btc_rate_fiat: rate.map(|rate| rate.to_decimal().to_string()),
        btc_rate_timestamp: latest_rate.map(|(_, time)| time.to_string()),
        fiat_valuation: FiatValuation { fiat_currency: currency.code().to_owned(), total: worth },
        balances: held.into_iter().map(holding).collect::<Result<_>>()?,
        btc_capital_gains: gains(ctx, totals, rate, as_of.unwrap_or(snapshot_timestamp))?,
    })
}

fn holdings(totals: &Totals) -> BTreeMap<Asset, i128> {
    let mut held = BTreeMap::from([(Asset::Btc, 0)]);
    for ((account, asset), total) in &totals.accounts {
        if chart::root(*account) == chart::Root::Assets {
            let net: &mut i128 = held.entry(*asset).or_default();
            *net = net.saturating_add(total.net());
        }
    }
    held
}

fn holding((asset, units): (Asset, i128)) -> Result<Holding> {
    let precision = match asset {
        Asset::Btc => 8,
        Asset::Fiat(currency) => currency.exponent(),
    };
    let info = AssetInfo { ticker: asset.code().to_owned(), precision };
    Ok(Holding { asset: info, net: net_text(asset, units)? })
}

fn gains(
    ctx: &ReportContext<'_>,
    totals: &Totals,
    rate: Option<Rate>,
    shown_at: Timestamp,
) -> Result<PortfolioGains> {
    let currency = ctx.settings.fiat_currency;
    let text = |amount: Fiat| amount.to_text(currency);
    let (done, open_cost) = (&totals.gains, totals.open_cost);
    let proceeds = done.gross.sub(done.fiat_fees)?;
    let realized = proceeds.sub(done.cost)?;
    let unrealized = match rate {
        Some(rate) => Some(rate.value(totals.open_quantity, currency)?.sub(open_cost)?),
        None => None,
    };
    Ok(PortfolioGains {
        algorithm: ctx.algorithm_at(shown_at),
        sale_count: done.disposals,
        total_quantity_sold: done.quantity.to_sat_text(),
        total_proceeds_fiat: text(proceeds),
        total_cost_basis_fiat: text(done.cost),
        realized_gain_fiat: text(realized),
        realized_gain_percentage: percentage(realized, done.cost)?,
        unrealized_gain_fiat: unrealized.map(text),
        unrealized_gain_percentage: match unrealized {
            Some(gain) => percentage(gain, open_cost)?,
            None => None,
        },
        unrealized_cost_basis_fiat: text(open_cost),
        total_cost_basis_fiat_including_open: text(done.cost.add(open_cost)?),
        average_cost_basis_fiat_per_btc: average_cost(totals, currency)?,
        total_gain_fiat: unrealized.map(|gain| realized.add(gain)).transpose()?.map(text),
    })
}

/// Cost of one bitcoin over all open lots; `None` when none is open.
fn average_cost(totals: &Totals, currency: Currency) -> Result<Option<String>> {
    if totals.open_quantity.is_zero() {
        return Ok(None);
    }
    let (cost, quantity) = (totals.open_cost.get().into(), totals.open_quantity.get().into());
    let minor = muldiv(cost, Msats::BTC.get().into(), quantity, Rounding::HalfEven);
    let minor = minor.and_then(|minor| i64::try_from(minor).ok()).ok_or(Error::Overflow("average cost"))?;
    Ok(Some(Fiat::new(minor).to_text(currency)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reports::samples::{SNAPSHOT, context, saver_totals};

    #[test]
    fn a_saver_at_a_known_price() {
        let rate = Rate::from_decimal("100000".parse().unwrap()).unwrap();
        let at = Timestamp::from_secs(0);
        let report =
            portfolio_summary(&context(), &saver_totals(), Some((rate, at)), None, SNAPSHOT).unwrap();
        assert_eq!(report.btc_balance, "120000.000");
        assert_eq!(report.btc_balance_fiat.as_deref(), Some("120.00"));
        assert_eq!(report.fiat_valuation.total.as_deref(), Some("120.00"));
        assert_eq!(report.btc_rate_timestamp.as_deref(), Some("1970-01-01T00:00:00Z"));
        let held: Vec<_> = report
            .balances
            .iter()
            .map(|held| (held.asset.ticker.as_str(), held.asset.precision, held.net.as_str()))
            .collect();
        assert_eq!(held, [("BTC", 8, "120000.000"), ("USD", 2, "-10150")]);
        // Bought 150 000 sat for 101.50; 28 000 spent for 28.00, with 2 000 of fees of which 1 000 at 1.00.
        let expected = PortfolioGains {
            algorithm: "FIFO",
            sale_count: 2,
            total_quantity_sold: "30000.000".into(),
            total_proceeds_fiat: "29.00".into(),
            total_cost_basis_fiat: "20.30".into(),
            realized_gain_fiat: "8.70".into(),
            realized_gain_percentage: Some("42.86".into()),
            unrealized_gain_fiat: Some("38.80".into()),
            unrealized_gain_percentage: Some("47.78".into()),
            unrealized_cost_basis_fiat: "81.20".into(),
            total_cost_basis_fiat_including_open: "101.50".into(),
            average_cost_basis_fiat_per_btc: Some("67666.67".into()),
            total_gain_fiat: Some("47.50".into()),
        };
        assert_eq!(report.btc_capital_gains, expected);
    }

    #[test]
    fn without_a_rate_nothing_is_guessed() {
        let report = portfolio_summary(&context(), &saver_totals(), None, None, SNAPSHOT).unwrap();
        let gains = &report.btc_capital_gains;
        assert_eq!((&report.btc_balance_fiat, &report.fiat_valuation.total), (&None, &None));
        assert_eq!((&gains.unrealized_gain_fiat, &gains.total_gain_fiat), (&None, &None));
        assert_eq!(gains.realized_gain_fiat, "8.70");
    }

    #[test]
    fn an_empty_book_has_no_percentages() {
        let report = portfolio_summary(&context(), &Totals::default(), None, None, SNAPSHOT).unwrap();
        assert_eq!(report.btc_balance, "0.000");
        assert_eq!(report.btc_capital_gains.realized_gain_percentage, None);
        assert_eq!(report.btc_capital_gains.average_cost_basis_fiat_per_btc, None);
    }
}
