//! `ssl://` servers: one whose certificate this system's roots vouch for is synced, any other is refused by name.
//!
//! The roots are those of a file named in the environment, which a process reads for itself: each test runs again in a
//! child process of its own, with a file that exists only there. The machine's roots are never read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain_fake;

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use nacre::chain::{ChainError, ElectrumSource, Network};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use chain_fake::{FakeChain, Reply, serve_through, sync, wallet_chain};

/// Names the file of roots; the child is known by it.
const ROOTS: &str = "SSL_CERT_FILE";
/// Says that this process is the child of a test.
const CHILD: &str = "NACRE_TEST_TLS_CHILD";

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// Runs `body` in a child process in which `test` is the only test and [`ROOTS`] names a file yet to be written.
fn with_own_roots(test: &str, body: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return body();
    }
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(CHILD, "1")
        .env(ROOTS, folder.path().join("roots.pem"))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{printed}{}", String::from_utf8_lossy(&child.stderr));
    assert!(printed.contains(" 1 passed;"), "{test} is not the name of this test: {printed}");
}

/// Makes `issuers` the only roots of this process.
fn trust(issuers: &[&Issuer]) {
    let path = PathBuf::from(std::env::var_os(ROOTS).unwrap());
    std::fs::write(path, issuers.iter().map(|issuer| issuer.pem()).collect::<String>()).unwrap();
}

fn issuer(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of a server of these names: as rcgen makes it, valid for long.
fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// The fake chain on a server that shows the certificate `issuer` gave it.
fn server(issuer: &Issuer, params: CertificateParams) -> ElectrumSource {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let encrypt =
        move |tcp: TcpStream| StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), tcp);
    let chain: FakeChain = wallet_chain().0;
    serve_through("ssl", encrypt, move |method, params, _| Reply::Result(chain.answer(method, params)))
}

/// The words with which `source` is refused for its certificate, by a sync and by a test of the connection.
#[track_caller]
fn refused(source: &ElectrumSource) -> String {
    let error = sync(source, None).unwrap_err();
    assert_eq!(error.code(), "tls", "{error}");
    assert_eq!(source.test(Some(Network::REGTEST)).unwrap_err(), error);
    assert!(error.to_string().contains(&source.url()), "{error}");
    let ChainError::Tls { detail, .. } = error else { panic!("{error}") };
    detail
}

#[test]
fn a_server_of_a_trusted_root_is_synced() {
    with_own_roots("a_server_of_a_trusted_root_is_synced", || {
        let (ours, other) = (issuer("ours"), issuer("other"));
        trust(&[&other, &ours]);
        let source = server(&ours, names(&["127.0.0.1"]));
        assert!(source.url().starts_with("ssl://127.0.0.1:"), "{}", source.url());
        let synced = sync(&source, None).unwrap();
        assert_eq!((synced.tip_height, synced.views.len()), (5, 2));
        assert_eq!(source.test(Some(Network::REGTEST)).unwrap().software, "Fake 1.0");
        assert_eq!(sync(&source, Some(&synced.state)).unwrap(), synced);
    });
}

#[test]
fn a_server_of_an_unknown_root_is_refused() {
    with_own_roots("a_server_of_an_unknown_root_is_refused", || {
        let (ours, other) = (issuer("ours"), issuer("other"));
        let source = server(&ours, names(&["127.0.0.1"]));
        trust(&[&other]);
        assert!(refused(&source).contains("no root certificate of this system vouches for it"));
        // A root of the same name does not vouch for what another key signed.
        trust(&[&issuer("ours")]);
        assert!(refused(&source).contains("no root certificate of this system vouches for it"));
        trust(&[]);
        assert!(refused(&source).contains("this system has no root certificates"));
        // Nothing but the roots was wrong with it.
        trust(&[&ours]);
        sync(&source, None).unwrap();
    });
}

#[test]
fn a_certificate_of_another_host_is_refused() {
    with_own_roots("a_certificate_of_another_host_is_refused", || {
        let ours = issuer("ours");
        trust(&[&ours]);
        let detail = refused(&server(&ours, names(&["electrum.example.org", "127.0.0.2"])));
        assert!(detail.contains("not valid for name"), "{detail}");
    });
}

#[test]
fn an_expired_certificate_is_refused() {
    with_own_roots("an_expired_certificate_is_refused", || {
        let ours = issuer("ours");
        trust(&[&ours]);
        let mut params = names(&["127.0.0.1"]);
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
        let detail = refused(&server(&ours, params));
        assert!(detail.contains("expired"), "{detail}");
    });
}
