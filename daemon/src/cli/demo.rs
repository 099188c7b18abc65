//! `nacre demo`: a server with example books in a folder of its own, and what to try on it. Everything it prints is
//! read from the books.

use std::error::Error;
use std::io::Write;

use nacre_engine::reports::{PortfolioSummary, TaxSummary};

use super::table;
use crate::books::now;
use crate::config::Config;
use crate::demo::{self, Demo};
use crate::server::Running;
use crate::{observe, server};

/// Where the demo books are kept unless `--data-dir` says otherwise.
pub(super) const FOLDER: &str = "nacre-demo";

/// Serves the demo books until a signal asks to stop.
pub(super) fn run(config: Config) -> Result<(), Box<dyn Error>> {
    observe::log::init(&config.log);
    let folder = config.data_dir.display().to_string();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = server::start(config).await?;
        let shown = show(&running, &folder).await;
        if shown.is_ok() {
            server::stop_signal().await?;
        }
        running.shutdown().await;
        shown
    })
}

async fn show(running: &Running, folder: &str) -> Result<(), Box<dyn Error>> {
    let demo = demo::open(running.state()).await.map_err(|problem| problem.message().to_owned())?;
    let at = now();
    let read = demo.access.read(move |book| {
        let portfolio = book.portfolio_summary(None, at)?;
        let years = book.tax_summary(None, at)?;
        Ok::<_, nacre_engine::Error>((portfolio, years, book.connections()?.len(), book.totals()?.events))
    });
    let (portfolio, years, connections, events) =
        read.await.map_err(|problem| problem.message().to_owned())?;
    let verb = if demo.found { "Found the demo books" } else { "Made demo books" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{verb} in {folder}: {connections} connections, {events} events.\n")?;
    write!(out, "{}", portfolio_text(&portfolio))?;
    write!(out, "\n{}", years_text(&years))?;
    write!(out, "\n{}", commands(&demo, &format!("http://{}", running.addr)))?;
    writeln!(out, "\nnacre listening on http://{} (Ctrl-C stops it)", running.addr)?;
    out.flush()?;
    Ok(())
}

fn portfolio_text(summary: &PortfolioSummary) -> String {
    let gains = &summary.btc_capital_gains;
    let currency = &summary.fiat_valuation.fiat_currency;
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let fiat = |value: String| vec![value, currency.clone()];
    let mut rows = vec![("bitcoin held", vec![summary.btc_balance.clone(), "sat".to_owned()])];
    let day = summary.btc_rate_timestamp.as_deref().and_then(|time| time.get(..10)).unwrap_or("no day");
    let worth = format!("worth at the rate of {day}");
    rows.push((&worth, fiat(known(&summary.btc_balance_fiat))));
    rows.push(("cost of what is held", fiat(gains.unrealized_cost_basis_fiat.clone())));
    rows.push(("unrealised gain", fiat(known(&gains.unrealized_gain_fiat))));
    rows.push(("realised gain", fiat(gains.realized_gain_fiat.clone())));
    let rows = rows.into_iter().map(|(name, mut cells)| {
        cells.insert(0, name.to_owned());
        cells
    });
    format!("Portfolio\n{}", table::aligned(&rows.collect::<Vec<_>>()))
}

fn years_text(summary: &TaxSummary) -> String {
    let head = ["year", "disposals", "proceeds", "cost", "gain", "of it short", "of it long"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let years = summary.years.iter().map(|year| (year.year.to_string(), &year.summary));
    for (name, sums) in years.chain([("all".to_owned(), &summary.summary)]) {
        rows.push(vec![
            name,
            sums.disposal_count.to_string(),
            sums.total_net_proceeds_fiat.clone(),
            sums.total_cost_basis_fiat.clone(),
            sums.total_realized_gain_fiat.clone(),
            sums.short_term_realized_gain_fiat.clone(),
            sums.long_term_realized_gain_fiat.clone(),
        ]);
    }
    let title = format!("Gains per year ({}, {})", summary.fiat_currency, summary.algorithm);
    format!("{title}\n{}", table::aligned(&rows))
}

/// What to type next, with the real address and ids.
fn commands(demo: &Demo, url: &str) -> String {
    let (workspace, profile) = (demo.access.workspace, demo.access.profile_id);
    let (intro, password) = match &demo.password {
        Some(password) => {
            let intro =
                format!("Log in as {} with the password {} (shown only now)", demo::EMAIL, password.as_str());
            (intro, password.as_str())
        }
        None => {
            let intro = format!(
                "Log in as {} with the password shown when the books were made (lost? remove the folder and start anew)",
                demo::EMAIL
            );
            (intro, "THE-PASSWORD")
        }
    };
    let email = demo::EMAIL;
    format!(
        r#"{intro}
  TOKEN=$(curl -s -X POST {url}/v1/auth/login -H 'Content-Type: application/json' \
    -d '{{"email":"{email}","password":"{password}"}}' | sed 's/.*"access_token":"\([^"]*\)".*/\1/')
  P={url}/v1/workspaces/{workspace}/profiles/{profile}

Then try
  curl -s -H "Authorization: Bearer $TOKEN" $P/reports/portfolio-summary
  curl -s -H "Authorization: Bearer $TOKEN" "$P/reports/capital-gains?format=csv"
  curl -s -H "Authorization: Bearer $TOKEN" "$P/journals/events?limit=10"
  curl -s -H "Authorization: Bearer $TOKEN" $P/connections
All routes: {url}/docs
"#
    )
}
