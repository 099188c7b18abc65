//! Facts decoded from bytes: rows of three plain feeds, transactions of two wallets, rates, annotations, policies.
//!
//! Every fact has an older and a final version (index 0 and 1); a test delivers any mixture, but ends with the final
//! one. Invariant: every byte string is a world, so that a fuzzer and a property test explore the same space.

use std::fmt::Write;

use nacre_engine::model::{ChainInput, ChainOutput, ChainStatus, ChainView, Rail};
use nacre_engine::time::Timestamp;

/// Label and rail of the connections 1 to 5; the first three import rows, the others sync a chain.
pub const CONNECTIONS: [(&str, Rail); 5] = [
    ("bank", Rail::Managed),
    ("node", Rail::Lightning),
    ("broker", Rail::Managed),
    ("cold", Rail::OnChain),
    ("hot", Rail::OnChain),
];

/// 2023-01-01T00:00:00Z.
const BASE_SECS: i64 = 1_672_531_200;
const DAY_SECS: i64 = 86_400;

/// A row of the plain format, in msat and minor units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub conn: u32,
    pub kind: &'static str,
    pub secs: i64,
    pub id: String,
    pub msat: i128,
    pub fee: i128,
    pub value: Option<(&'static str, i128)>,
    pub fee_fiat: Option<i128>,
    pub trade: Option<(Side, Side)>,
    pub cost_basis: Option<i128>,
    pub fmv: Option<i128>,
    pub acquired: Option<i64>,
    pub txid: Option<String>,
    pub hash: Option<String>,
    pub reference: Option<String>,
    pub lots: Vec<(String, i128)>,
}

/// One side of a trade.
#[derive(Clone, Debug, PartialEq)]
pub enum Side {
    Btc(i128),
    Fiat(&'static str, i128),
    Doge,
}

/// A transaction: owners are connection numbers, 0 for somebody else.
#[derive(Clone, Debug)]
pub struct Tx {
    pub id: [u8; 32],
    pub coinbase: bool,
    pub inputs: Vec<(u32, u64)>,
    pub outputs: Vec<(u32, u64)>,
    /// By version, then by wallet (4, 5): what it says, `None` when it does not deliver the transaction.
    pub status: [[Option<Status>; 2]; 2],
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    Unconfirmed,
    Immature { height: u32, secs: i64 },
    Confirmed { height: u32, secs: i64 },
}

/// What the user says about an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remark {
    pub note: Option<&'static str>,
    pub excluded: bool,
    /// Price of one bitcoin, in minor units.
    pub rate: Option<i64>,
}

/// How disposals find their cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    Fifo,
    Lifo,
    Hifo,
    Lofo,
    Average,
    Section104,
}

impl Method {
    /// Every method.
    pub const ALL: [Method; 6] =
        [Method::Fifo, Method::Lifo, Method::Hifo, Method::Lofo, Method::Average, Method::Section104];

    /// The name on the surface.
    pub fn name(self) -> &'static str {
        match self {
            Method::Fifo => "FIFO",
            Method::Lifo => "LIFO",
            Method::Hifo => "HIFO",
            Method::Lofo => "LOFO",
            Method::Average => "AVG_COST",
            Method::Section104 => "UK_S104",
        }
    }

    /// One cost for many lots: holds for the whole book.
    pub fn is_pooled(self) -> bool {
        matches!(self, Method::Average | Method::Section104)
    }
}

/// What a random world may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    pub methods: &'static [Method],
    /// Policies effective from a day.
    pub dated_policies: bool,
    /// The second basis of a gift.
    pub gift_bases: bool,
}

/// The methods of the engine. One more here, and the laws hold the engine to the naive books of it.
pub const METHODS_BUILT: &[Method] = &Method::ALL;
/// What the engine has.
pub const ENGINE: Built = Built { methods: METHODS_BUILT, dated_policies: true, gift_bases: true };

/// The policies that vary.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub method: Method,
    pub by_connection: bool,
    pub carry_basis: bool,
    /// How far local time is ahead of UTC, in seconds.
    pub east: i64,
    /// What holds from later days, in order.
    pub later: Vec<Dated>,
}

impl Policy {
    /// The field of the settings that cannot be as it is.
    pub fn refused(&self) -> Option<&'static str> {
        let one_pool = self.method == Method::Section104;
        if one_pool && self.by_connection {
            return Some("lot_scope");
        }
        if one_pool && self.carry_basis {
            return Some("transfer_fee_treatment");
        }
        let (mut day, mut by_connection) = (i64::MIN, self.by_connection);
        for dated in &self.later {
            let switches = dated.by_connection && !by_connection;
            let allocates = !dated.allocation.is_empty();
            let empty = dated.allocation.iter().any(|(_, _, msat)| *msat <= 0);
            let pooled = self.method.is_pooled() || dated.method.is_pooled();
            if pooled || dated.day <= day || (allocates && !switches) || empty {
                return Some("policies");
            }
            (day, by_connection) = (dated.day, dated.by_connection);
        }
        None
    }
}

/// A policy effective from a day.
#[derive(Clone, Debug, PartialEq)]
pub struct Dated {
    /// Local day, counted from 1970-01-01.
    pub day: i64,
    pub method: Method,
    pub by_connection: bool,
    /// Which lot goes to which connection when the scope becomes the connection's.
    pub allocation: Vec<(String, u32, i128)>,
}

/// Everything there is to know.
#[derive(Clone, Debug)]
pub struct World {
    pub rows: Vec<[Row; 2]>,
    pub txs: Vec<Tx>,
    /// Currency, instant, price in minor units by version.
    pub rates: Vec<(&'static str, i64, [i64; 2])>,
    pub remarks: Vec<(String, [Remark; 2])>,
    pub policy: [Policy; 2],
    /// A connection that is removed in the end.
    pub removed: Option<u32>,
    pub built: Built,
    /// What is left of the bytes: the order of operations.
    pub rest: Vec<u8>,
}

/// Bytes to take choices from; zeros when they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 1
    }
}

impl World {
    /// A world the engine can keep books of.
    pub fn decode(bytes: &[u8]) -> World {
        World::decode_for(bytes, ENGINE)
    }

    pub fn decode_for(bytes: &[u8], built: Built) -> World {
        let mut from = Choices(bytes);
        let bits = [from.byte(), from.byte()];
        let removed = Some(from.below(24) as u32).filter(|no| (1..=5).contains(no));
        let items = from.below(40);
        let gaps = from.byte();
        let mut world = World {
            rows: Vec::new(),
            txs: Vec::new(),
            rates: rates(gaps),
            remarks: Vec::new(),
            policy: bits.map(|bits| policy(bits, built.methods)),
            removed,
            built,
            rest: Vec::new(),
        };
        for at in 0..items {
            world.item(at, &mut from);
        }
        for (version, bits) in bits.into_iter().enumerate() {
            if built.dated_policies && bits >> 6 != 0 && !world.policy[version].method.is_pooled() {
                world.policy[version].later =
                    world.later(world.policy[version].by_connection, bits >> 6, &mut from);
            }
        }
        world.rest = from.0.to_vec();
        world
    }

    fn item(&mut self, at: usize, from: &mut Choices<'_>) {
        match from.below(32) {
            kind @ 0..=20 => {
                let row = self.row(at, kind, from);
                self.remark(format!("c{}.{}", row.conn, row.id), from);
                let older = older(&row, from.byte());
                self.rows.push([older, row]);
            }
            21..=24 => self.pair(at, from),
            25..=28 => {
                let tx = tx(at, from);
                self.remark(hex(&tx.id), from);
                self.txs.push(tx);
            }
            _ => self.across(at, from),
        }
    }

    fn remark(&mut self, id: String, from: &mut Choices<'_>) {
        let choice = from.byte();
        if choice.is_multiple_of(3) {
            let one = |bits: u8| Remark {
                note: (bits & 1 != 0).then_some("=kept"),
                excluded: bits & 6 == 6,
                rate: (bits & 24 == 24).then_some(3_333_333),
            };
            self.remarks.push((id, [one(choice >> 1), one(choice >> 3)]));
        }
    }

    fn row(&mut self, at: usize, kind: usize, from: &mut Choices<'_>) -> Row {
        const KINDS: [&str; 21] = [
            "buy",
            "buy",
            "buy",
            "sell",
            "sell",
            "deposit",
            "withdrawal",
            "invoice",
            "pay",
            "forward",
            "income",
            "interest",
            "gift_in",
            "gift_out",
            "fee",
            "opening_balance",
            "trade",
            "trade",
            "trade",
            "trade",
            "gift_in",
        ];
        let (conn, secs) = (1 + from.below(3) as u32, instant(from.byte()));
        let (msat, flags, small) = (msat(from), from.byte(), i128::from(from.byte()));
        let mut row = Row {
            conn,
            kind: KINDS[kind],
            secs,
            id: format!("{}-{at}", KINDS[kind]),
            msat,
            ..Row::default()
        };
        let currency = if flags & 3 == 3 { "EUR" } else { "USD" };
        if flags & 12 == 12 && row.kind != "fee" {
            row.fee = small * 10_007;
        }
        if matches!(row.kind, "buy" | "sell") || flags & 48 == 48 {
            row.value = Some((currency, msat / 41_000 + small));
            row.fee_fiat = (flags & 64 != 0).then_some(small * 3);
        }
        match kind {
            12 | 15 | 20 => {
                // Less or more than it is worth.
                let per = if small % 2 == 0 { 90_000 } else { 20_000 };
                row.cost_basis = (flags & 32 != 0).then_some(msat / per);
                let second =
                    kind != 15 && small % 3 == 0 && (self.built.gift_bases || row.cost_basis.is_none());
                row.fmv = second.then_some(msat / per * small / 200);
                row.acquired = (flags & 16 != 0).then_some(secs - (small as i64 % 40) * 17 * DAY_SECS);
            }
            16..=19 => row.become_trade(kind, currency, flags & 64 != 0),
            _ => {}
        }
        self.name_lots(&mut row, from);
        row
    }

    /// Sometimes a disposal names its lots, right or wrong.
    fn name_lots(&self, row: &mut Row, from: &mut Choices<'_>) {
        if !matches!(row.kind, "sell" | "withdrawal" | "gift_out" | "fee")
            || !from.one_in(4)
            || self.rows.is_empty()
        {
            return;
        }
        let named = &self.rows[from.below(self.rows.len())][1];
        if (&named.txid, &named.hash, &named.reference) != (&None, &None, &None) {
            return;
        }
        let id = format!("c{}.{}", named.conn, named.id);
        row.lots.push((id, row.msat + row.fee));
    }

    /// Up to three policies of later days; some say which lot goes where, right or wrong.
    fn later(&self, base: bool, count: u8, from: &mut Choices<'_>) -> Vec<Dated> {
        let mut later: Vec<Dated> = (0..count)
            .map(|_| {
                let (day, bits) = (instant(from.byte()).div_euclid(DAY_SECS), from.byte());
                let switchable: Vec<Method> =
                    self.built.methods.iter().copied().filter(|method| !method.is_pooled()).collect();
                let method = switchable[usize::from(bits >> 1) % switchable.len()];
                let rows = if self.rows.is_empty() { 0 } else { from.below(4) };
                let allocation = (0..rows).map(|_| self.allocated(day * DAY_SECS, from)).collect();
                Dated { day: day + i64::from(bits >> 7), method, by_connection: bits & 1 != 0, allocation }
            })
            .collect();
        later.sort_by_key(|dated| dated.day);
        later.dedup_by_key(|dated| dated.day);
        let mut by_connection = base;
        for dated in &mut later {
            // Only the step to one pool per connection allocates.
            if !dated.by_connection || by_connection {
                dated.allocation.clear();
            }
            by_connection = dated.by_connection;
        }
        later
    }

    fn allocated(&self, before: i64, from: &mut Choices<'_>) -> (String, u32, i128) {
        let came: Vec<&Row> = self
            .rows
            .iter()
            .map(|row| &row[1])
            .filter(|row| row.secs < before && matches!(row.kind, "buy" | "invoice" | "gift_in" | "interest"))
            .collect();
        let (at, choice) = (from.byte(), from.byte());
        let Some(row) = came.get(usize::from(at) % came.len().max(1)) else {
            return ("c1.nothing#0".into(), 1, 1);
        };
        let conn = if choice & 7 == 7 { 1 + u32::from(choice >> 4) % 5 } else { row.conn };
        let msat = if choice & 24 == 24 { row.msat } else { row.msat / 9 };
        (format!("c{}.{}#0", row.conn, row.id), conn, msat.max(1))
    }

    /// Two ends of an own transfer outside the chain; sometimes more arrives than was sent.
    fn pair(&mut self, at: usize, from: &mut Choices<'_>) {
        let (a, b) = (1 + from.below(3) as u32, 1 + from.below(3) as u32);
        let (sent, flags) = (msat(from), from.byte());
        let lightning = flags & 1 != 0;
        let (out, into) = if lightning { ("pay", "invoice") } else { ("withdrawal", "deposit") };
        let mut left =
            Row { conn: a, kind: out, secs: instant(from.byte()), id: format!("out-{at}"), ..Row::default() };
        left.msat = sent;
        left.fee = if flags & 6 == 6 { 11_003 } else { 0 };
        let mut came = Row { conn: b, kind: into, id: format!("in-{at}"), ..Row::default() };
        came.secs = left.secs + if flags & 8 != 0 { 3_600 } else { 0 };
        came.msat = match flags >> 4 {
            0..=6 => sent,
            7..=12 => (sent * 15 / 16).max(1),
            13 => sent + 1,
            _ => 1_000.min(sent),
        };
        came.fee = if flags >> 4 == 14 { 1_000.min(sent) } else { 0 };
        for row in [&mut left, &mut came] {
            row.hash = lightning.then(|| format!("{at:064x}"));
            row.reference = (!lightning).then(|| format!("ref {at}"));
        }
        for row in [left, came] {
            let older = older(&row, from.byte());
            self.rows.push([older, row]);
        }
    }

    /// A custodian's row about a transaction of an own wallet.
    fn across(&mut self, at: usize, from: &mut Choices<'_>) {
        let mut tx = tx(at, from);
        let out = from.byte() & 1 == 0;
        tx.coinbase = false;
        for input in &mut tx.inputs {
            input.0 = if out { 0 } else { 4 };
        }
        let moved: u64 =
            tx.outputs.iter().filter(|(owner, _)| (*owner == 0) != out).map(|(_, sat)| sat).sum();
        let slack = [0, 0, 0, 5_000, -1_000][from.below(5)];
        let row = Row {
            conn: 1 + from.below(3) as u32,
            kind: if out { "withdrawal" } else { "deposit" },
            secs: instant(from.byte()),
            id: format!("on-chain-{at}"),
            msat: (i128::from(moved) * 1_000 + slack).max(1),
            txid: Some(hex(&tx.id)),
            ..Row::default()
        };
        let older = older(&row, from.byte());
        self.rows.push([older, row]);
        self.txs.push(tx);
    }
}

impl Row {
    fn become_trade(&mut self, kind: usize, currency: &'static str, fee: bool) {
        let (btc, fiat) = (Side::Btc(self.msat), Side::Fiat(currency, self.msat / 37_000 + 1));
        self.trade = Some(match kind {
            16 => (fiat, btc),
            17 => (btc, fiat),
            18 => (Side::Fiat("USD", 1_100), Side::Fiat("EUR", 1_000)),
            _ => (Side::Doge, btc),
        });
        (self.msat, self.value) = (0, None);
        self.fee_fiat = (fee && kind != 19).then_some(77);
        if kind >= 18 {
            self.fee = 0;
        }
    }

    /// As a line under [`HEADER`].
    pub fn csv(&self) -> String {
        let money = |cents: i128| format!("{}.{:02}", cents / 100, cents % 100);
        let optional = |cents: Option<i128>| cents.map(money).unwrap_or_default();
        let time = |secs: i64| Timestamp::from_secs(secs).to_string();
        let side = |side: &Side| match side {
            Side::Btc(msat) => format!("BTC,{}", btc(*msat)),
            Side::Fiat(currency, cents) => format!("{currency},{}", money(*cents)),
            Side::Doge => "DOGE,5".to_owned(),
        };
        let msat = |msat: i128| if msat == 0 { String::new() } else { msat.to_string() };
        let lots: Vec<String> = self.lots.iter().map(|(id, msat)| format!("{id}:{}", btc(*msat))).collect();
        let trade = self.trade.as_ref().map(|(from, to)| format!("{},{}", side(from), side(to)));
        let columns = [
            self.kind.to_owned(),
            time(self.secs),
            self.id.clone(),
            msat(self.msat),
            msat(self.fee),
            optional(self.value.map(|(_, cents)| cents)),
            self.value.map_or("", |(currency, _)| currency).to_owned(),
            optional(self.fee_fiat),
            trade.unwrap_or_else(|| ",,,".into()),
            self.txid.clone().unwrap_or_default(),
            self.hash.clone().unwrap_or_default(),
            self.reference.clone().unwrap_or_default(),
            optional(self.cost_basis),
            optional(self.fmv),
            self.acquired.map(time).unwrap_or_default(),
            lots.join(";"),
        ];
        columns.join(",")
    }
}

/// The header of [`Row::csv`].
pub const HEADER: &str = "type,timestamp,id,amount_msat,fee_msat,fiat_value,fiat_currency,fee_fiat,from_asset,\
    from_amount,to_asset,to_amount,txid,payment_hash,transfer_ref,cost_basis,fmv_at_gift,acquired_at,lots";

impl Tx {
    /// What the wallet `no` delivers of it.
    pub fn view(&self, no: u32, version: usize) -> Option<ChainView> {
        if !self.inputs.iter().chain(&self.outputs).any(|(owner, _)| *owner == no) {
            return None;
        }
        let time = Timestamp::from_secs;
        let status = match self.status[version][no as usize - 4]? {
            Status::Unconfirmed => ChainStatus::Unconfirmed { first_seen: None },
            Status::Immature { height, secs } => ChainStatus::Immature { height, time: time(secs) },
            Status::Confirmed { height, secs } => {
                ChainStatus::Confirmed { height, position: u32::from(self.id[0]), time: time(secs) }
            }
        };
        let own = |owner: u32, sat| (owner == no).then_some(sat);
        let inputs = self.inputs.iter().map(|(owner, sat)| ChainInput { owned_sat: own(*owner, *sat) });
        let output = |&(owner, value_sat): &(u32, u64)| ChainOutput {
            value_sat,
            owned: owner == no,
            script: vec![0x51],
        };
        Some(ChainView {
            txid: nacre_engine::id::TxId(self.id),
            status,
            coinbase: self.coinbase,
            inputs: inputs.collect(),
            outputs: self.outputs.iter().map(output).collect(),
        })
    }
}

pub fn hex(id: &[u8; 32]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn btc(msat: i128) -> String {
    format!("{}.{:011}", msat / 100_000_000_000, msat % 100_000_000_000)
}

/// One of forty instants some twenty days apart: ties are common, years are crossed. Some follow exactly 30 and 31 days
/// after the one before, and some fourteen hours after, which is the next day in the east.
fn instant(byte: u8) -> i64 {
    let slot = i64::from(byte % 40);
    let moved = match slot % 8 {
        1 => 10 * DAY_SECS,
        5 => 11 * DAY_SECS,
        6 => -9 * DAY_SECS + 14 * 3_600,
        _ => 0,
    };
    BASE_SECS + slot * 20 * DAY_SECS + moved
}

fn msat(from: &mut Choices<'_>) -> i128 {
    (1 + i128::from(from.byte())) * 1_234_567
}

fn policy(bits: u8, built: &[Method]) -> Policy {
    let bit = |at: u8| bits >> at & 1 != 0;
    let method = built[usize::from(bits & 1 | bits >> 3 & 6) % built.len()];
    let one_pool = method == Method::Section104;
    Policy {
        method,
        by_connection: bit(1) && !one_pool,
        carry_basis: bit(2) && !one_pool,
        east: if bit(3) { 36_000 } else { 0 },
        later: Vec::new(),
    }
}

/// A price every day but some.
fn rates(gaps: u8) -> Vec<(&'static str, i64, [i64; 2])> {
    let mut rates = Vec::new();
    for slot in 0..40u8 {
        let (at, price) = (instant(slot) - i64::from(slot) * 1_700, 2_000_037 + i64::from(slot) * 61_113);
        if slot.wrapping_mul(7).wrapping_add(gaps) % 6 != 0 {
            rates.push(("USD", at, [price / 2, price]));
        }
        if slot.wrapping_mul(5).wrapping_add(gaps) % 4 != 0 {
            rates.push(("EUR", at, [price, price * 9 / 10]));
        }
    }
    rates
}

/// The row as it was delivered first: the same, of another amount or time, or without its identities.
fn older(row: &Row, choice: u8) -> Row {
    let mut older = row.clone();
    match choice % 8 {
        0 if row.msat > 0 && row.lots.is_empty() => older.msat += 5_003,
        1 if row.acquired.is_none() => older.secs = instant(choice.rotate_left(3)),
        2 => (older.txid, older.hash, older.reference) = (None, None, None),
        _ => {}
    }
    older
}

fn tx(at: usize, from: &mut Choices<'_>) -> Tx {
    const OWNERS: [u32; 5] = [0, 0, 4, 5, 4];
    let mut id = [0; 32];
    (id[0], id[1]) = (from.byte(), at as u8 + 1);
    let shape = from.byte();
    let coinbase = shape % 16 == 5;
    let inputs = if coinbase { 0 } else { 1 + usize::from(shape >> 4) % 3 };
    let payer = OWNERS[from.below(5)];
    let mut tx = Tx { id, coinbase, inputs: Vec::new(), outputs: Vec::new(), status: [[None; 2]; 2] };
    for _ in 0..inputs {
        let choice = from.byte();
        // Mostly one payer; else several, or a stranger beside us.
        let owner = if choice.is_multiple_of(5) { OWNERS[usize::from(choice / 5) % 5] } else { payer };
        tx.inputs.push((owner, 2_000 + u64::from(choice) * 997));
    }
    let mut left = if coinbase { 50_000 } else { tx.inputs.iter().map(|(_, sat)| sat).sum::<u64>() - 500 };
    for last in [false, false, true].into_iter().skip(usize::from(shape) % 3) {
        let choice = from.byte();
        let sat = if last { left } else { left * (1 + u64::from(choice % 3)) / 5 };
        left -= sat;
        tx.outputs.push((OWNERS[usize::from(choice) % 5], sat));
    }
    tx.statuses(from);
    tx
}

impl Tx {
    fn statuses(&mut self, from: &mut Choices<'_>) {
        let (place, history) = (from.byte(), from.byte());
        let at = |shift: u8| Status::Confirmed {
            height: 800_000 + u32::from(place % 3) + u32::from(shift),
            secs: instant(place) + i64::from(shift) * 600,
        };
        let last = match history % 8 {
            0 => Some(Status::Unconfirmed),
            1 => None,
            2 if self.coinbase => Some(Status::Immature { height: 800_000, secs: instant(place) }),
            _ => Some(at(0)),
        };
        // One wallet may not have seen the last reorganisation yet.
        let other = if history & 0x30 == 0x30 && last == Some(at(0)) { Some(at(2)) } else { last };
        let first = match history >> 6 {
            0 => None,
            1 => Some(Status::Unconfirmed),
            2 => Some(at(3)),
            _ => last,
        };
        self.status = [[first; 2], [last, other]];
    }
}
