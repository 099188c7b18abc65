//! Native ids: what makes a row the same row when its file is read again.
//!
//! A row without `id` is known by its content and by how many equal rows came before it: two equal rows of one file
//! are two events, the same file again is none. A repeated `id` must repeat its content.
//! The byte form hashed here is written out by hand and versioned: **it never changes with the stored form of records**,
//! else every known row would come back as a new one.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};

use ring::digest;

use super::cell::kind_name;
use crate::model::{PlainExtra, PlainRecord, Side};
use crate::money::{Currency, Fiat, Msats};

/// Version of the byte form.
const CONTENT_V1: u8 = 1;

/// Keyed by hashes, never iterated: a fixed hasher keeps the engine free of randomness.
type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// What the rows of this input were called so far.
#[derive(Default)]
pub(super) struct Identities {
    /// Content of rows without id → how many there were.
    occurrences: Map<[u8; 16], u32>,
    /// Hash of an explicit id → hash of its content.
    named: Map<u64, u64>,
    content: Vec<u8>,
}

impl Identities {
    /// The native id of the next row; `None` when `id` was given to different content before.
    pub(super) fn name(&mut self, id: Option<&str>, record: &PlainRecord) -> Option<String> {
        self.content.clear();
        write_content(record, &mut self.content);
        let Some(id) = id else { return Some(self.name_by_content()) };
        let content = short_hash(&self.content);
        let first = *self.named.entry(short_hash(id.as_bytes())).or_insert(content);
        (first == content).then(|| id.to_string())
    }

    fn name_by_content(&mut self) -> String {
        let hash = digest::digest(&digest::SHA256, &self.content);
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_ref()[..16]);
        let occurrence = self.occurrences.entry(key).or_insert(0);
        let mut name = String::with_capacity(36);
        name.push('h');
        for byte in key {
            name.extend(
                [byte >> 4, byte & 15].map(|nibble| char::from_digit(nibble.into(), 16).unwrap_or('0')),
            );
        }
        name.push('-');
        name.push_str(&occurrence.to_string());
        *occurrence += 1;
        name
    }
}

fn short_hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Appends everything the row says, each part preceded by its presence or length.
fn write_content(record: &PlainRecord, out: &mut Vec<u8>) {
    out.push(CONTENT_V1);
    text(kind_name(record.kind), out);
    number(record.time.as_micros(), out);
    quantity(record.quantity, out);
    quantity(record.fee, out);
    option(record.value, out, money);
    option(record.fee_fiat, out, money);
    option(record.trade, out, |(from, to), out| {
        side(from, out);
        side(to, out);
    });
    option(record.cost_basis, out, money);
    option(record.acquired_at, out, |at, out| number(at.as_micros(), out));
    option(record.value_at_gift, out, money);
    option(record.extra.as_deref(), out, extra);
}

fn extra(extra: &PlainExtra, out: &mut Vec<u8>) {
    let words = [&extra.txid, &extra.payment_hash, &extra.transfer_ref, &extra.description, &extra.note];
    for word in words {
        option(word.as_deref(), out, text);
    }
    option(extra.vout, out, |vout, out| number(vout.into(), out));
    number(extra.lots.len() as i64, out);
    for (event, amount) in &extra.lots {
        text(event, out);
        quantity(*amount, out);
    }
    number(extra.tags.len() as i64, out);
    extra.tags.iter().for_each(|tag| text(tag, out));
}

fn option<T>(value: Option<T>, out: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        write(value, out);
    }
}

fn side(side: Side, out: &mut Vec<u8>) {
    match side {
        Side::Btc(amount) => {
            out.push(0);
            quantity(amount, out);
        }
        Side::Fiat(currency, amount) => {
            out.push(1);
            money((currency, amount), out);
        }
        Side::Unknown(ticker) => {
            out.push(2);
            out.extend_from_slice(&ticker);
        }
    }
}

fn money((currency, amount): (Currency, Fiat), out: &mut Vec<u8>) {
    text(currency.code(), out);
    number(amount.get(), out);
}

fn quantity(amount: Msats, out: &mut Vec<u8>) {
    number(amount.get(), out);
}

fn text(text: &str, out: &mut Vec<u8>) {
    number(text.len() as i64, out);
    out.extend_from_slice(text.as_bytes());
}

fn number(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_le_bytes());
}
