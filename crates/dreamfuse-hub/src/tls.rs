//! Which certificates are trusted.

use crate::hub::HubError;
use std::path::{Path, PathBuf};
use ureq::tls::{Certificate, PemItem, RootCerts, parse_pem};

/// Bundles that the environment names, the first that is set: OpenSSL's name, then those of Python's requests and curl.
pub(crate) const VARIABLES: [&str; 3] = ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"];

/// OpenSSL's name of folders of certificates, which systems set for everybody: it counts where there is anything in them.
pub(crate) const FOLDERS: [&str; 1] = ["SSL_CERT_DIR"];

/// Whether any of the folders, separated as in `PATH`, has a file.
pub(crate) fn has_files(folders: &Path) -> bool {
    std::env::split_paths(folders)
        .flat_map(std::fs::read_dir)
        .any(|mut entries| entries.next().is_some())
}

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

/// A file of certificates, or folders of such files, separated as in `PATH`. Files in folders that cannot be read are skipped, as
/// OpenSSL does.
fn read(path: &Path) -> Result<RootCerts, String> {
    let mut files = vec![path.to_owned()];
    let folders: Vec<PathBuf> = std::env::split_paths(path)
        .filter(|path| path.is_dir())
        .collect();
    if !folders.is_empty() {
        let entries = folders.iter().flat_map(std::fs::read_dir).flatten();
        files = entries
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .collect();
        files.retain(|file| std::fs::File::open(file).is_ok() && file.is_file());
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
