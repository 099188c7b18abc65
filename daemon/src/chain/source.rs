//! [`ElectrumSource`]: which server to read, over what, and within which limits.
//!
//! Owns the URL forms. Refuses unknown schemes, and `.onion` names without a proxy, before anything is dialled.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use super::dial;
use super::electrum::Client;
use super::error::{ChainError, SpecError};
use super::network::Network;

/// Default port of `tcp://`.
const PORT_TCP: u16 = 50001;
/// Default port of `ssl://`.
const PORT_SSL: u16 = 50002;

/// How long and how much a server may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest wait for a connection (with proxy and TLS), in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest silence while an answer is awaited, in milliseconds.
    pub read_timeout_ms: u64,
    /// Longest use of one connection (one sync), in milliseconds.
    pub deadline_ms: u64,
    /// Largest single answer, in bytes.
    pub answer_bytes: u64,
    /// Most data of one connection (one sync), in bytes.
    pub total_bytes: u64,
}

impl Default for Limits {
    /// 20 s to connect, 20 s of silence, 10 min in all; 16 MiB an answer (the largest block as hex fits), 512 MiB in all.
    fn default() -> Self {
        Limits {
            connect_timeout_ms: 20_000,
            read_timeout_ms: 20_000,
            deadline_ms: 600_000,
            answer_bytes: 16 << 20,
            total_bytes: 512 << 20,
        }
    }
}

impl Limits {
    pub(super) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(super) fn read(&self) -> Duration {
        Duration::from_millis(self.read_timeout_ms)
    }

    pub(super) fn whole(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

/// An Electrum server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectrumSource {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) tls: bool,
    pub(super) proxy: Option<(String, u16)>,
    pub(super) limits: Limits,
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The server's software, as it says, shortened to 100 printable characters.
    pub software: String,
    /// The protocol version agreed on.
    pub protocol: String,
    /// Hash of the chain's first block, as hex.
    pub genesis_hash: String,
    /// Which chain that is.
    pub network: Network,
    /// Height of the best block.
    pub tip_height: u32,
}

impl ElectrumSource {
    /// Reads `tcp://host:port` or `ssl://host:port` (default ports 50001 and 50002) and an optional SOCKS5 proxy
    /// `host:port`, which resolves the server's name.
    ///
    /// # Errors
    /// A [`SpecError`] for the field `url` or `tor_proxy`.
    pub fn parse(url: &str, tor_proxy: Option<&str>) -> Result<Self, SpecError> {
        let form = "must be tcp://host:port or ssl://host:port, e.g. tcp://127.0.0.1:50001";
        let bad = || SpecError::new("url", form);
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(bad)?;
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "tcp" => (false, PORT_TCP),
            "ssl" => (true, PORT_SSL),
            _ => return Err(bad()),
        };
        let (host, port) = host_port(rest.strip_suffix('/').unwrap_or(rest), Some(port)).ok_or_else(bad)?;
        let proxy = tor_proxy.map(str::trim).filter(|text| !text.is_empty());
        let proxy = proxy
            .map(|text| {
                let text = text.strip_prefix("socks5h://").or(text.strip_prefix("socks5://")).unwrap_or(text);
                host_port(text, None)
                    .ok_or_else(|| SpecError::new("tor_proxy", "must be host:port, e.g. 127.0.0.1:9050"))
            })
            .transpose()?;
        if host.ends_with(".onion") && proxy.is_none() {
            let message = "must be set to reach an .onion address, e.g. 127.0.0.1:9050 where Tor listens";
            return Err(SpecError::new("tor_proxy", message));
        }
        Ok(ElectrumSource { host, port, tls, proxy, limits: Limits::default() })
    }

    /// The same server within other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        ElectrumSource { limits, ..self }
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        let scheme = if self.tls { "ssl" } else { "tcp" };
        match self.host.parse::<Ipv6Addr>() {
            Ok(_) => format!("{scheme}://[{}]:{}", self.host, self.port),
            Err(_) => format!("{scheme}://{}:{}", self.host, self.port),
        }
    }

    /// Connects and asks the server who it is.
    ///
    /// # Errors
    /// Any [`ChainError`]; `WrongNetwork` if `expected` is another chain than the server's.
    pub fn test(&self, expected: Option<Network>) -> Result<SourceReport, ChainError> {
        let mut client = self.connect(&|| false)?;
        let network = client.network()?;
        if let Some(expected) = expected.filter(|expected| *expected != network) {
            return Err(client.wrong_network(expected.name(), network.name()));
        }
        let tip_height = client.tip()?.height;
        Ok(SourceReport {
            software: client.software().to_owned(),
            protocol: client.protocol().to_owned(),
            genesis_hash: network.genesis().to_string(),
            network,
            tip_height,
        })
    }

    /// Connects and agrees on the protocol version.
    pub(super) fn connect<'a>(&self, cancelled: &'a dyn Fn() -> bool) -> Result<Client<'a>, ChainError> {
        let wire = dial::dial(self, cancelled)?;
        Client::greet(wire, self.url(), self.limits, cancelled)
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
fn host_port(text: &str, default: Option<u16>) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0)?,
        None => default?,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let named = (1..=253).contains(&host.len()) && host.bytes().all(plain);
    (named || host.parse::<IpAddr>().is_ok()).then(|| (host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_read_with_their_default_ports() {
        let cases = [
            ("tcp://localhost", "tcp://localhost:50001"),
            ("ssl://Electrum.Example.org", "ssl://electrum.example.org:50002"),
            ("TCP://127.0.0.1:60401/", "tcp://127.0.0.1:60401"),
            ("tcp://[::1]:7", "tcp://[::1]:7"),
            ("ssl://[::1]", "ssl://[::1]:50002"),
        ];
        for (typed, read) in cases {
            assert_eq!(ElectrumSource::parse(typed, None).unwrap().url(), read, "{typed}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for typed in [
            "",
            "localhost",
            "localhost:50001",
            "http://localhost",
            "tcp://",
            "tcp://:50001",
            "tcp://host:0",
            "tcp://host:65536",
            "tcp://host:port",
            "tcp://user@host",
            "tcp://host/path",
            "tcp://host:1:2",
            "tcp://[::1",
            "tcp://[localhost]:1",
            "tcp://ho st",
        ] {
            let error = ElectrumSource::parse(typed, None).unwrap_err();
            assert_eq!(error.field, "url", "{typed}");
        }
    }

    #[test]
    fn onion_needs_a_proxy() {
        assert_eq!(ElectrumSource::parse("tcp://abc.onion", None).unwrap_err().field, "tor_proxy");
        assert_eq!(ElectrumSource::parse("tcp://abc.onion", Some(" ")).unwrap_err().field, "tor_proxy");
        assert_eq!(ElectrumSource::parse("tcp://host", Some("127.0.0.1")).unwrap_err().field, "tor_proxy");
        let source = ElectrumSource::parse("tcp://abc.onion", Some("127.0.0.1:9050")).unwrap();
        assert_eq!(source.proxy, Some(("127.0.0.1".into(), 9050)));
    }
}
