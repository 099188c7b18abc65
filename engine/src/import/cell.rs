//! One cell's text → one value, exactly, or the reason why not.
//!
//! Owns the grammar of numbers, instants, hashes, lots and tags. Numbers are read digit by digit into integers of the
//! smallest unit: there is nothing to round and no separator, sign or exponent to misread.

use crate::model::{PlainKind, Side};
use crate::money::{Currency, Fiat, Msats};
use crate::time::{Timestamp, Zone};

/// What is wrong with a cell and what would be right.
pub(super) type Problem = String;

/// The names of the types, as the format and the hash of a row's content spell them.
const KINDS: [(&str, PlainKind); 14] = [
    ("buy", PlainKind::Buy),
    ("sell", PlainKind::Sell),
    ("trade", PlainKind::Trade),
    ("deposit", PlainKind::Deposit),
    ("withdrawal", PlainKind::Withdrawal),
    ("invoice", PlainKind::Invoice),
    ("pay", PlainKind::Pay),
    ("forward", PlainKind::Forward),
    ("income", PlainKind::Income),
    ("interest", PlainKind::Interest),
    ("gift_in", PlainKind::GiftIn),
    ("gift_out", PlainKind::GiftOut),
    ("fee", PlainKind::Fee),
    ("opening_balance", PlainKind::OpeningBalance),
];

/// The format's name of a type.
pub(super) fn kind_name(kind: PlainKind) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name)
}

/// A `type`, in any letter case.
pub(super) fn kind(text: &str) -> Result<PlainKind, Problem> {
    let found = KINDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let known = KINDS.map(|(name, _)| name).join(", ");
        format!("{} is not a type of row; use one of {known}", quoted(text))
    })
}

/// The first instant of the bitcoin network's first day: nothing of these books is older.
const GENESIS: Timestamp = Timestamp::from_secs(1_230_940_800);

/// An instant: RFC 3339, or a local date or date-time in `zone` (skipped hours count on, repeated ones are the first).
pub(super) fn time(text: &str, zone: &Zone) -> Result<Timestamp, Problem> {
    let wanted = "write 2024-01-31, 2024-01-31 12:30:00 or 2024-01-31T12:30:00Z";
    let shape = |(place, byte): (usize, u8)| match place {
        4 | 7 => byte == b'-',
        10 => matches!(byte, b'T' | b't' | b' '),
        0..10 => byte.is_ascii_digit(),
        _ => byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b'+' | b'-' | b'Z' | b'z'),
    };
    if text.len() < 10 || !text.bytes().enumerate().all(shape) {
        let slashed = text.bytes().filter(|byte| matches!(byte, b'/' | b'.' | b'-')).count() >= 2;
        return Err(if text.bytes().all(|byte| byte.is_ascii_digit()) {
            format!("{} looks like a number of seconds or days; {wanted}", quoted(text))
        } else if slashed && !text.as_bytes().iter().take(4).all(u8::is_ascii_digit) {
            format!("{} does not say which part is the day and which the month; {wanted}", quoted(text))
        } else {
            format!("{} is not a date or time; {wanted}", quoted(text))
        });
    }
    let at =
        zone.parse(text).ok_or_else(|| format!("{} is not a valid date or time; {wanted}", quoted(text)))?;
    if at < GENESIS {
        return Err(format!("{} is before bitcoin existed (2009-01-03)", quoted(text)));
    }
    Ok(at)
}

/// A unit of bitcoin, by its decimal places down to the millisatoshi.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Btc = 11,
    Sat = 3,
    Msat = 0,
}

/// A quantity of bitcoin in `unit`: not negative, at most 21 million BTC, no finer than the millisatoshi.
pub(super) fn quantity(text: &str, unit: Unit) -> Result<Msats, Problem> {
    let finest = "a millisatoshi (11 decimals of BTC, 3 of a satoshi)";
    let amount = Msats::new(fixed(text, unit as u32, finest)?);
    if amount > Msats::MAX_MONEY {
        return Err(format!("{} is more than the 21 million BTC there can be", quoted(text)));
    }
    Ok(amount)
}

/// A fiat amount in major units of `currency`: not negative, no finer than its minor unit.
pub(super) fn fiat(text: &str, currency: Currency) -> Result<Fiat, Problem> {
    const MINOR: [&str; 4] = [
        "a whole unit of this currency",
        "one decimal",
        "the minor unit (2 decimals)",
        "the minor unit (3 decimals)",
    ];
    let places = currency.exponent();
    fixed(text, places, MINOR.get(places as usize).copied().unwrap_or("the minor unit")).map(Fiat::new)
}

/// An unsigned decimal number scaled by 10^`places`.
fn fixed(text: &str, places: u32, finest: &str) -> Result<i64, Problem> {
    let (mut value, mut decimals, mut digits) = (0i64, None::<u32>, 0);
    for byte in text.bytes() {
        match (byte, decimals) {
            (b'.', None) => decimals = Some(0),
            (b'0'..=b'9', _) => {
                digits += 1;
                if decimals == Some(places) {
                    if byte != b'0' {
                        return Err(format!("{} is finer than {finest}; round it yourself", quoted(text)));
                    }
                    continue;
                }
                decimals = decimals.map(|count| count + 1);
                value = append(value, byte).ok_or_else(|| format!("{} is too large", quoted(text)))?;
            }
            _ => return Err(not_a_number(text)),
        }
    }
    if digits == 0 {
        return Err(not_a_number(text));
    }
    for _ in decimals.unwrap_or(0)..places {
        value = append(value, b'0').ok_or_else(|| format!("{} is too large", quoted(text)))?;
    }
    Ok(value)
}

fn append(value: i64, digit: u8) -> Option<i64> {
    value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
}

fn not_a_number(text: &str) -> Problem {
    let plain = "write plain digits with a decimal point, e.g. 1234.5";
    let has = |wanted: &[char]| text.contains(wanted);
    let digit = has(&['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    if digit && (text.starts_with('-') || text.starts_with('(')) {
        format!("{} is negative; write amounts without a sign, the type says the direction", quoted(text))
    } else if digit && text.starts_with('+') {
        format!("{} has a sign; {plain}", quoted(text))
    } else if digit && has(&['e', 'E']) {
        format!("{} has an exponent, which a spreadsheet may have rounded; {plain}", quoted(text))
    } else if digit && has(&[',', '\'', '_', ' ', '\u{a0}', '\u{202f}']) {
        format!("{} has a thousands separator or a decimal comma; {plain}", quoted(text))
    } else {
        format!("{} is not a number; {plain}", quoted(text))
    }
}

/// A currency code; `book` is the likely one.
pub(super) fn currency(text: &str, book: Currency) -> Result<Currency, Problem> {
    if text.eq_ignore_ascii_case(book.code()) {
        return Ok(book);
    }
    text.parse().map_err(|_| format!("{} is not an ISO 4217 code; use e.g. USD or EUR", quoted(text)))
}

/// One side of a trade. An asset these books do not keep is carried by the first 8 bytes of its ticker, its amount is
/// only checked to be a number.
pub(super) fn asset(text: &str, book: Currency) -> Result<Asset, Problem> {
    if text.eq_ignore_ascii_case("BTC") || text.eq_ignore_ascii_case("XBT") {
        return Ok(Asset::Btc);
    }
    if let Ok(currency) = currency(text, book) {
        return Ok(Asset::Fiat(currency));
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(format!(
            "{} is not a ticker; use BTC, a currency code or another asset's ticker",
            quoted(text)
        ));
    }
    let mut ticker = [0; 8];
    let mut used = 0;
    for c in text.chars().flat_map(char::to_uppercase) {
        let Some(room) = ticker.get_mut(used..used + c.len_utf8()) else { break };
        c.encode_utf8(room);
        used += c.len_utf8();
    }
    Ok(Asset::Unknown(ticker))
}

/// What a trade's ticker names.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Asset {
    Btc,
    Fiat(Currency),
    Unknown([u8; 8]),
}

impl Asset {
    /// The side of a trade in this asset; its amount must be positive.
    pub(super) fn side(self, amount: &str) -> Result<Side, Problem> {
        let (side, zero) = match self {
            Asset::Btc => {
                let quantity = quantity(amount, Unit::Btc)?;
                (Side::Btc(quantity), quantity.is_zero())
            }
            Asset::Fiat(currency) => {
                let value = fiat(amount, currency)?;
                (Side::Fiat(currency, value), value == Fiat::ZERO)
            }
            Asset::Unknown(ticker) => {
                let digits = amount.bytes().filter(u8::is_ascii_digit).count();
                let points = amount.bytes().filter(|byte| *byte == b'.').count();
                if digits == 0 || points > 1 || digits + points != amount.len() {
                    return Err(not_a_number(amount));
                }
                (Side::Unknown(ticker), amount.bytes().all(|byte| matches!(byte, b'0' | b'.')))
            }
        };
        if zero { Err("is zero; a trade gives and gets something".into()) } else { Ok(side) }
    }
}

/// 32 bytes in hexadecimal, lower-cased.
pub(super) fn hash(text: &str) -> Result<String, Problem> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("{} is not 64 hexadecimal digits", quoted(text)))
    }
}

/// The place of an output in its transaction.
pub(super) fn output(text: &str) -> Result<u32, Problem> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let place = if digits { text.parse().ok() } else { None };
    place.ok_or_else(|| format!("{} is not the number of an output; count from 0", quoted(text)))
}

/// Longest native id or transfer reference, in bytes.
const REFERENCE_MAX: usize = 512;

/// An id of the source: one line of text.
pub(super) fn reference(text: &str) -> Result<&str, Problem> {
    if text.len() > REFERENCE_MAX {
        return Err(format!("{} is longer than {REFERENCE_MAX} bytes", quoted(text)));
    }
    if text.chars().any(char::is_control) {
        return Err(format!("{} has a line break or another control character", quoted(text)));
    }
    Ok(text)
}

/// `event id:amount_btc;…`: what to take from which acquisition, in order.
pub(super) fn lots(text: &str) -> Result<Vec<(String, Msats)>, Problem> {
    let mut lots = Vec::new();
    for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let pair = part.rsplit_once(':').map(|(event, amount)| (event.trim(), amount.trim()));
        let Some((event, amount)) = pair.filter(|(event, _)| !event.is_empty()) else {
            return Err(format!(
                "{} is not an event id and an amount in BTC, e.g. c1.buy-1:0.5",
                quoted(part)
            ));
        };
        let amount = quantity(amount, Unit::Btc)?;
        if amount.is_zero() {
            return Err(format!("{} takes nothing", quoted(part)));
        }
        lots.push((reference(event)?.to_string(), amount));
    }
    Ok(lots)
}

/// Tags separated by `;` or `,`: lower-cased, sorted, each once.
pub(super) fn tags(text: &str) -> Vec<String> {
    let parts = text.split([';', ',']).map(|tag| tag.trim().to_lowercase());
    let mut tags: Vec<String> = parts.filter(|tag| !tag.is_empty()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// A cell as a message shows it: quoted, clipped.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(64) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}
