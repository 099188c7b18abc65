//! Opens the byte stream to a server: TCP, through a SOCKS5 proxy if one is set, and TLS over it for `ssl://`.
//!
//! Invariants: with a proxy set, nothing is dialled or resolved around it; certificates are verified against the
//! system's roots. The stream handed out wakes every [`POLL`] so that its reader can watch deadlines.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use electrum_client::socks::{Socks5Stream, TargetAddr};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::error::ChainError;
use super::source::ElectrumSource;

/// How often a waiting read wakes to look at the clock and at cancellation.
const POLL: Duration = Duration::from_millis(200);

/// A connected byte stream.
pub(super) trait Wire: Read + Write {}

impl<T: Read + Write> Wire for T {}

/// Connects to `source`.
pub(super) fn dial(
    source: &ElectrumSource,
    cancelled: &dyn Fn() -> bool,
) -> Result<Box<dyn Wire>, ChainError> {
    let until = Instant::now() + source.limits.connect();
    let tcp = match &source.proxy {
        Some((host, port)) => through_proxy(source, host, *port)?,
        None => direct(source, until, cancelled)?,
    };
    let ready = tcp
        .set_nodelay(true)
        .and_then(|()| tcp.set_read_timeout(Some(POLL)))
        .and_then(|()| tcp.set_write_timeout(Some(source.limits.read())));
    ready.map_err(|error| unreachable(source, &error))?;
    if source.tls { Ok(Box::new(encrypt(source, tcp, until, cancelled)?)) } else { Ok(Box::new(tcp)) }
}

fn unreachable(source: &ElectrumSource, error: &io::Error) -> ChainError {
    ChainError::Unreachable { server: source.url(), detail: error.to_string() }
}

fn too_slow(source: &ElectrumSource, doing: &'static str) -> ChainError {
    ChainError::Timeout { server: source.url(), after_ms: source.limits.connect_timeout_ms, doing }
}

/// Tries every address of the host until one answers.
fn direct(
    source: &ElectrumSource,
    until: Instant,
    cancelled: &dyn Fn() -> bool,
) -> Result<TcpStream, ChainError> {
    let addresses = resolve(&source.host, source.port).map_err(|error| unreachable(source, &error))?;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        if cancelled() {
            return Err(ChainError::Cancelled);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(too_slow(source, "connecting"));
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    match last.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => Err(too_slow(source, "connecting")),
        _ => Err(unreachable(source, &last)),
    }
}

fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok((host, port).to_socket_addrs()?.collect())
}

/// Lets the proxy resolve and dial the server.
fn through_proxy(source: &ElectrumSource, host: &str, port: u16) -> Result<TcpStream, ChainError> {
    let failed = |error: io::Error| ChainError::Proxy {
        server: source.url(),
        proxy: format!("{host}:{port}"),
        detail: error.to_string(),
    };
    let target = match source.host.parse::<IpAddr>() {
        Ok(ip) => TargetAddr::Ip(SocketAddr::new(ip, source.port)),
        Err(_) => TargetAddr::Domain(source.host.clone(), source.port),
    };
    let addresses = resolve(host, port).map_err(failed)?;
    let proxy = addresses
        .first()
        .ok_or_else(|| failed(io::Error::new(ErrorKind::NotFound, "the name has no address")))?;
    match Socks5Stream::connect(*proxy, target, Some(source.limits.connect())) {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            Err(too_slow(source, "connecting through the proxy"))
        }
        Err(error) => Err(failed(error)),
    }
}

/// Completes a TLS handshake on `tcp`.
fn encrypt(
    source: &ElectrumSource,
    mut tcp: TcpStream,
    until: Instant,
    cancelled: &dyn Fn() -> bool,
) -> Result<StreamOwned<ClientConnection, TcpStream>, ChainError> {
    let failed = |detail: String| ChainError::Tls { server: source.url(), detail };
    let name = ServerName::try_from(source.host.clone()).map_err(|error| failed(error.to_string()))?;
    let config = tls_config().map_err(failed)?;
    let mut tls = ClientConnection::new(config, name).map_err(|error| failed(error.to_string()))?;
    while tls.is_handshaking() {
        if cancelled() {
            return Err(ChainError::Cancelled);
        }
        if Instant::now() >= until {
            return Err(too_slow(source, "agreeing on encryption"));
        }
        let step = if tls.wants_write() { tls.write_tls(&mut tcp) } else { tls.read_tls(&mut tcp) };
        match step {
            Ok(0) => return Err(failed("the server closed the connection during the handshake".into())),
            Ok(_) => {
                if let Err(error) = tls.process_new_packets() {
                    // The peer deserves to hear why; that it may not hear does not change the outcome.
                    let _ = tls.write_tls(&mut tcp);
                    return Err(failed(tls_words(error)));
                }
            }
            Err(error) if waits(&error) => {}
            Err(error) => return Err(unreachable(source, &error)),
        }
    }
    Ok(StreamOwned::new(tls, tcp))
}

/// A TLS failure in words a server's owner can act on.
fn tls_words(error: rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(
            bad @ (Bad::Expired
            | Bad::ExpiredContext { .. }
            | Bad::NotValidYet
            | Bad::NotValidYetContext { .. }
            | Bad::NotValidForName
            | Bad::NotValidForNameContext { .. }
            | Bad::Revoked),
        ) => bad.to_string(),
        rustls::Error::InvalidCertificate(_) => {
            "no root certificate of this system vouches for it (self-signed?)".into()
        }
        rustls::Error::InvalidMessage(_) => "it does not speak TLS on this port".into(),
        other => other.to_string(),
    }
}

/// Whether a read only found nothing to read yet.
pub(super) fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn tls_config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("this system has no root certificates (on Debian: ca-certificates)".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
