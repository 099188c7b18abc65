//! A hundred thousand events through the real daemon: what it keeps in memory, and whether others are served meanwhile.
//!
//! Prints its figures. The bound on memory is one for a small machine; nothing here is a bound on time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "account/mod.rs"]
mod account;

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nacre_tests::Result;
use nacre_tests::daemon::{Daemon, DaemonOptions};
use nacre_tests::http::Client;
use serde_json::json;

use account::{HEADER, Profile};

const EVENTS: u64 = 100_000;
/// Highest resident memory, in KiB: 200 MB.
const PEAK_KIB: u64 = 200_000_000 / 1024;
const LIMIT: Duration = Duration::from_secs(600);

/// Buys and sells over ten years, two of three a buy; sorted, as exports are.
fn file() -> String {
    let mut csv = HEADER.to_owned();
    for event in 0..EVENTS {
        let (day, second) = (event * 3_360 / EVENTS, event * 3_360 * 86_400 / EVENTS % 86_400);
        let (year, month, day) = (2014 + day / 336, 1 + day % 336 / 28, 1 + day % 28);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let (kind, sat) = if event % 3 == 2 { ("sell", 90_000) } else { ("buy", 100_000) };
        let (sat, cents) = (sat + event * 7_919 % 10_000, 3_000 + event * 104_729 % 9_000);
        let time = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z");
        let money = format!("{}.{:02},USD,0.25", cents / 100, cents % 100);
        writeln!(csv, "{kind},{time},e{event},{sat},,{money},,").unwrap();
    }
    csv
}

/// Asks for a report and a page of events until told to stop; how many answers came and the longest wait for one.
fn read_meanwhile(profile: &Profile, stop: &AtomicBool) -> (u64, Duration) {
    let (mut answers, mut longest) = (0, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        for below in ["/reports/portfolio-summary", "/journals/events?limit=50"] {
            let start = Instant::now();
            profile.request("GET", below).expect_json(profile.address, 200).unwrap();
            longest = longest.max(start.elapsed());
            answers += 1;
        }
        thread::sleep(Duration::from_millis(5));
    }
    (answers, longest)
}

#[test]
fn a_hundred_thousand_events_fit_a_small_machine() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(DaemonOptions::new(folder.path().join("data")).env("NACRE_LOG", "warn"))?;
    let mut profile = Profile::set_up(daemon.address(), "tcp://127.0.0.1:1")?;
    profile.connect("exchange", "Custom", json!({}))?;
    let idle_kib = daemon.rss_kib()?;
    let csv = file();
    let client = Client::new(daemon.url()).with_bearer(&profile.token).with_limit(LIMIT);

    let stop = AtomicBool::new(false);
    let (import, process, readers) = thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| read_meanwhile(&profile, &stop))).collect();
        let path = format!("{}/connections/{}/import", profile.path, profile.connections[0]);
        let start = Instant::now();
        let said = client.request("POST", &path, &[("content-type", "text/csv")], Some(csv.as_bytes()));
        let import = (said, start.elapsed());
        let start = Instant::now();
        let said = client.post(&format!("{}/journals/process", profile.path), &json!({}));
        let process = (said, start.elapsed());
        stop.store(true, Ordering::Relaxed);
        (import, process, readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>())
    });
    assert_eq!(import.0?.expect_status(200)?.json()?["new"], EVENTS);
    assert_eq!(process.0?.expect_status(200)?.json()?["events_total"], EVENTS);

    let start = Instant::now();
    let gains = client.get(&format!("{}/reports/capital-gains", profile.path))?.expect_status(200)?.text();
    let entries =
        client.get(&format!("{}/reports/journal-entries", profile.path))?.expect_status(200)?.text();
    let export = start.elapsed();
    let sells = (0..EVENTS).filter(|event| event % 3 == 2).count();
    assert!(gains.lines().count() > sells, "a slice for each sale: {}", gains.lines().count());
    assert!(entries.lines().count() as u64 > 2 * EVENTS, "two sides for each event");

    let (answers, longest) =
        readers.iter().fold((0, Duration::ZERO), |(all, most), (n, wait)| (all + n, most.max(*wait)));
    let peak_kib = daemon.peak_rss_kib()?;
    let mib = |kib: u64| kib / 1024;
    eprintln!(
        "{EVENTS} events, {} MiB of CSV: import {} ms, process {} ms, exports of {} MiB {} ms; \
         {answers} reads meanwhile, the slowest {} ms; memory {} MiB idle, {} MiB at most",
        csv.len() >> 20,
        import.1.as_millis(),
        process.1.as_millis(),
        (gains.len() + entries.len()) >> 20,
        export.as_millis(),
        longest.as_millis(),
        mib(idle_kib),
        mib(peak_kib),
    );
    assert!(readers.iter().all(|(answers, _)| *answers > 0), "a reader was never served");
    assert!(peak_kib < PEAK_KIB, "{} MiB", mib(peak_kib));
    Ok(())
}
