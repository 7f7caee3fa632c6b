//! Which certificates are trusted.

use crate::hub::HubError;
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Bundles that the environment names, the first that is set: files before OpenSSL's folder, which systems set for everybody.
pub(crate) const VARIABLES: [&str; 4] = [
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_DIR",
];

/// Where systems keep theirs (OpenSSL's and Go's lists).
const OF_SYSTEMS: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// The certificates of a bundle that is named, or the system's, or those in the binary.
pub(crate) fn roots(named: Option<&Path>) -> Result<RootCerts, HubError> {
    if let Some(path) = named {
        return read(path).map_err(|reason| HubError::Certificates {
            path: path.to_owned(),
            reason,
        });
    }
    let of_system = OF_SYSTEMS
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    Ok(of_system
        .and_then(|path| read(&path).ok())
        .unwrap_or(RootCerts::WebPki))
}

/// A file of certificates, or a folder of such files.
fn read(path: &Path) -> Result<RootCerts, String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(|e| e.to_string())?;
        files = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.retain(|file| file.is_file());
    }
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|e| e.to_string())?;
        found.extend(parse_pem(&bytes).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        }));
    }
    if found.is_empty() {
        return Err("it holds no certificate in PEM".into());
    }
    Ok(RootCerts::from(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_without_a_certificate_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        for text in ["", "-----BEGIN CERTIFICATE-----\nno", "{}"] {
            std::fs::write(&path, text).unwrap();
            let error = roots(Some(&path)).unwrap_err().to_string();
            assert!(
                error.contains("ca.pem") && error.contains("no certificate"),
                "{error}"
            );
        }
        let missing = folder.path().join("none.pem");
        assert!(
            roots(Some(&missing))
                .unwrap_err()
                .to_string()
                .contains("none.pem")
        );
    }
}
