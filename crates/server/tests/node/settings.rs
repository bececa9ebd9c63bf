//! Settings that end the start, and those that are shown.

use crate::papers::Authority;
use crate::process::said;

#[test]
fn half_a_certificate_ends_the_start_by_the_key_that_is_missing() {
    let ended = said(&["server", "--tls-key", "tls.key"]);
    assert!(!ended.status.success());
    let why = String::from_utf8(ended.stderr).unwrap();
    assert!(why.contains("tls.certificate = (unset)"), "{why}");
    assert!(why.contains("must be set beside `tls.key`"), "{why}");
}

#[test]
fn files_that_are_no_certificate_end_the_start_by_their_path() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("server");
    let data = tempfile::tempdir().unwrap();
    let ended = said(&[
        "server",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &data.path().display().to_string(),
        "--tls-certificate",
        &key.display().to_string(),
        "--tls-key",
        &certificate.display().to_string(),
    ]);
    assert!(!ended.status.success());
    let why = String::from_utf8(ended.stderr).unwrap();
    assert!(why.contains("server.key: holds no certificate in PEM"), "{why}");
}

#[test]
fn what_is_shown_of_tls_are_paths_and_where_they_come_from() {
    let shown = said(&[
        "server",
        "--print-config",
        "--tls-certificate",
        "c.crt",
        "--tls-key",
        "c.key",
    ]);
    let page = String::from_utf8(shown.stdout).unwrap();
    assert!(
        page.contains("[tls]\ncertificate = \"c.crt\" # flag --tls-certificate\n"),
        "{page}"
    );
    assert!(page.contains("# client_authority is unset"), "{page}");
}
