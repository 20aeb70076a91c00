//! TLS, of rustls: the certificate that the settings name, and a connection that speaks it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::Socket;

use crate::settings::Settings;

/// A connection that speaks TLS.
pub type TlsStream = StreamOwned<ServerConnection, Socket>;

/// The ways to shake hands.
#[derive(Clone)]
pub struct Tls {
    usual: Arc<ServerConfig>,
    of_grpc: Arc<ServerConfig>,
}

impl Tls {
    /// That of a protocol: clients of gRPC want to hear that they speak HTTP/2.
    pub fn of(&self, grpc: bool) -> &Arc<ServerConfig> {
        match grpc {
            true => &self.of_grpc,
            false => &self.usual,
        }
    }
}

/// Reads the certificate with its chain, and its key, that the settings name.
///
/// # Errors
/// A file cannot be read, or they do not belong together.
pub fn told(settings: &Settings) -> Result<Option<Tls>, String> {
    let files = settings.tls_cert.as_ref().zip(settings.tls_key.as_ref());
    files
        .map(|(certificate, key)| config(certificate, key))
        .transpose()
}

fn config(certificate: &str, key: &str) -> Result<Tls, String> {
    let failed = |file: &str, error: &dyn std::fmt::Display| format!("TLS, {file}: {error}");
    let chain = CertificateDer::pem_file_iter(Path::new(certificate))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(certificate, &error))?;
    if chain.is_empty() {
        return Err(failed(certificate, &"no certificate (a PEM file)"));
    }
    let secret =
        PrivateKeyDer::from_pem_file(Path::new(key)).map_err(|error| failed(key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| failed(certificate, &error))?;
    let mut of_grpc = config.clone();
    of_grpc.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Tls {
        usual: Arc::new(config),
        of_grpc: Arc::new(of_grpc),
    })
}

/// A connection that is about to shake hands.
///
/// # Errors
/// The configuration cannot serve.
pub fn accepted(config: &Arc<ServerConfig>, socket: Socket) -> io::Result<Box<TlsStream>> {
    let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    Ok(Box::new(StreamOwned::new(session, socket)))
}
