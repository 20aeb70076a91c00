//! TLS: the servers that are trusted, and sessions with them.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// TLS of every connection of a run: 1.2 or 1.3, offering `http/1.1` alone, and resuming
/// sessions, as a browser does.
///
/// # Arguments
/// * `ca` - a PEM file of the certificates to trust, in place of the system's: of authorities, or
///   of servers themselves.
/// * `insecure` - trust every certificate. Whoever shows it must still prove to hold its key: the
///   signatures of the handshake are checked.
///
/// # Errors
/// A sentence that names the file, or says that the system has no authorities.
pub fn client_config(ca: Option<&Path>, insecure: bool) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(ring::default_provider());
    let trusted = match ca {
        _ if insecure => None,
        Some(path) => Some(Trusted::given(path, &provider)?),
        None => Some(Trusted::by_system(&provider)?),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(Verifier { trusted, provider });
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The name that a certificate must bear for a host of a URL, a name or a bare address.
///
/// # Errors
/// A sentence that names the host, where no certificate could bear it.
pub fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("no certificate can bear the host name {host:?}"))
}

/// The authorities whose certificates are good.
#[derive(Debug)]
struct Trusted {
    authorities: Arc<WebPkiServerVerifier>,
    /// Certificates that a server may show as its own.
    servers: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn given(path: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let shown = path.display();
        let servers = CertificateDer::pem_file_iter(path)
            .map_err(|error| format!("cannot read certificates from {shown}: {error}"))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("{shown} holds a certificate that is none: {error}"))?;
        let mut roots = RootCertStore::empty();
        for certificate in &servers {
            roots
                .add(certificate.clone())
                .map_err(|error| format!("{shown} holds a certificate that is none: {error}"))?;
        }
        if roots.is_empty() {
            return Err(format!("{shown} holds no certificate in PEM"));
        }
        Self::new(roots, servers, provider)
    }

    fn by_system(provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some systems carry authorities that no parser accepts; the others count.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
            return Err(format!(
                "this system has no certificate authorities that can be read: {}",
                if why.is_empty() {
                    "there are none".to_owned()
                } else {
                    why.join("; ")
                }
            ));
        }
        Self::new(roots, Vec::new(), provider)
    }

    fn new(
        roots: RootCertStore,
        servers: Vec<CertificateDer<'static>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let roots = Arc::new(roots);
        let authorities =
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
        Ok(Self {
            authorities: authorities.map_err(|error| error.to_string())?,
            servers,
        })
    }
}

/// Trusts some certificates, or every one.
#[derive(Debug)]
struct Verifier {
    trusted: Option<Trusted>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(Trusted {
            authorities,
            servers,
        }) = &self.trusted
        else {
            return Ok(ServerCertVerified::assertion());
        };
        let verified = authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // A certificate that signed itself calls itself an authority, where `openssl req
            // -x509` made it, which webpki refuses in a server only after it has checked the time.
            // It was given byte by byte, so what is left to check is the name.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if servers.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_named() {
        let folder = std::env::temp_dir();
        let missing = folder.join("rateproof-no-such-file.pem");
        let said = client_config(Some(&missing), false).unwrap_err();
        assert!(said.contains("cannot read") && said.contains("rateproof-no-such-file.pem"));
        for (content, expected) in [
            ("", "holds no certificate in PEM"),
            ("certificates? none\n", "holds no certificate in PEM"),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "holds a certificate that is none",
            ),
            (
                "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
                "holds a certificate that is none",
            ),
        ] {
            let path = folder.join(format!("rateproof-bad-{}.pem", std::process::id()));
            std::fs::write(&path, content).unwrap();
            let said = client_config(Some(&path), false).unwrap_err();
            std::fs::remove_file(&path).unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn names_and_addresses_are_hosts_and_nothing_else() {
        for host in ["localhost", "example.test", "127.0.0.1", "::1"] {
            server_name(host).unwrap();
        }
        for host in ["", "a b", "exa/mple"] {
            assert!(
                server_name(host)
                    .unwrap_err()
                    .contains(&format!("{host:?}"))
            );
        }
    }
}
