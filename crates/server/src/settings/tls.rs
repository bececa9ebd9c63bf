//! TLS at the clients' doors: what its settings mean, alone and together.

use super::Settings;
use super::section::section;
use muster_api::tls::Config;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a door speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Plaintext.
    Off,
    Tls,
    /// TLS, and each client shows a certificate.
    Mutual,
}

section! {
    /// TLS for clients, by HTTP and gRPC. With `certificate` and `key` both doors speak TLS 1.2 and 1.3 and nothing else; the
    /// other keys are for exceptions. The files are read again every minute, and what has changed counts for new
    /// connections. Pushes by UDP and the calls between members (`peer_listen`) stay plaintext: keep those to a network
    /// of their own.
    TlsSettings {
        /// A file in PEM: this server's certificate, then those that vouch for it. Nacos:
        /// `nacos.remote.server.rpc.tls.certChainFile`.
        certificate: Option<PathBuf> = None,
        /// A file in PEM: its private key, without a passphrase. Nacos: `nacos.remote.server.rpc.tls.certPrivateKey`.
        key: Option<PathBuf> = None,
        /// A file in PEM: who vouches for clients. Given, doors refuse clients without such a certificate; health
        /// probes and scrapers of metrics come by HTTP and seldom have one: see `http`. Nacos:
        /// `nacos.remote.server.rpc.tls.trustCollectionCertFile` with `mutualAuthEnable`.
        client_authority: Option<PathBuf> = None,
        /// The HTTP door: `off`, `tls`, or `mutual` (TLS with a client's certificate). Unset: the most that the files allow.
        http: Option<TlsMode> = None,
        /// The gRPC door, likewise. Nacos: `nacos.remote.server.rpc.tls.enableTls`.
        grpc: Option<TlsMode> = None,
        /// The HTTP port takes plaintext beside TLS, told apart by the first byte: for the time of a change-over.
        http_plaintext_too: bool = false,
        /// The gRPC port likewise. Nacos: `nacos.remote.server.rpc.tls.compatibility`, which is on there.
        grpc_plaintext_too: bool = false,
    }
}

impl TlsSettings {
    fn mode(&self, asked: Option<TlsMode>) -> TlsMode {
        match asked {
            Some(mode) => mode,
            None if self.certificate.is_none() => TlsMode::Off,
            None if self.client_authority.is_some() => TlsMode::Mutual,
            None => TlsMode::Tls,
        }
    }

    /// The keys of both doors: how it speaks, and whether it takes plaintext too.
    fn doors(&self) -> [(&'static str, TlsMode, &'static str, bool); 2] {
        [
            (
                "tls.http",
                self.mode(self.http),
                "tls.http_plaintext_too",
                self.http_plaintext_too,
            ),
            (
                "tls.grpc",
                self.mode(self.grpc),
                "tls.grpc_plaintext_too",
                self.grpc_plaintext_too,
            ),
        ]
    }

    pub(super) fn check(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        match (&self.certificate, &self.key) {
            (Some(_), None) => wrong.push(("tls.key", "must be set beside `tls.certificate`")),
            (None, Some(_)) => wrong.push(("tls.certificate", "must be set beside `tls.key`")),
            _ => {}
        }
        let has_neither = self.certificate.is_none() && self.key.is_none();
        for (key, mode, plaintext_key, plaintext_too) in self.doors() {
            if mode != TlsMode::Off && has_neither {
                wrong.push((key, "needs `tls.certificate` and `tls.key`"));
            }
            if mode == TlsMode::Mutual && self.client_authority.is_none() {
                wrong.push((key, "needs `tls.client_authority`"));
            }
            if mode == TlsMode::Off && plaintext_too {
                wrong.push((plaintext_key, "has no meaning at a door that does not speak TLS"));
            }
        }
        let asks = self.doors().iter().any(|(_, mode, ..)| *mode == TlsMode::Mutual);
        if self.client_authority.is_some() && !asks {
            let why =
                "no door asks clients for a certificate: set `tls.certificate`, and `tls.http` or `tls.grpc` to mutual";
            wrong.push(("tls.client_authority", why));
        }
        wrong.into_iter().map(|(key, why)| (key, why.to_owned())).collect()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let doors = self.doors();
        let open = doors.iter().filter(|(.., plaintext_too)| *plaintext_too);
        open.map(|(_, mode, key, _)| match mode {
            TlsMode::Mutual => format!("{key} is set: whoever speaks plaintext is taken without a certificate"),
            _ => format!("{key} is set: plaintext is taken"),
        })
        .collect()
    }

    fn door(&self, asked: Option<TlsMode>, plaintext_too: bool) -> Option<Config> {
        let mode = self.mode(asked);
        if mode == TlsMode::Off {
            return None;
        }
        Some(Config {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            client_authority: self.client_authority.clone().filter(|_| mode == TlsMode::Mutual),
            plaintext_too,
        })
    }
}

impl Settings {
    /// None: the HTTP door speaks plaintext.
    pub fn http_tls(&self) -> Option<Config> {
        self.tls.door(self.tls.http, self.tls.http_plaintext_too)
    }

    /// None: the gRPC door speaks plaintext.
    pub fn grpc_tls(&self) -> Option<Config> {
        self.tls.door(self.tls.grpc, self.tls.grpc_plaintext_too)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut TlsSettings)) -> Settings {
        let mut settings = Settings::default();
        change(&mut settings.tls);
        settings
    }

    fn refused(change: impl FnOnce(&mut TlsSettings)) -> Vec<&'static str> {
        with(change).check().into_iter().map(|(key, _)| key).collect()
    }

    fn paper(tls: &mut TlsSettings) {
        tls.certificate = Some("tls.crt".into());
        tls.key = Some("tls.key".into());
    }

    #[test]
    fn without_a_certificate_both_doors_speak_plaintext() {
        let settings = Settings::default();
        assert_eq!((settings.http_tls(), settings.grpc_tls()), (None, None));
    }

    #[test]
    fn certificate_and_key_put_both_doors_into_tls() {
        let settings = with(paper);
        assert_eq!(settings.check(), vec![]);
        let door = settings.http_tls().unwrap();
        assert_eq!(Some(&door), settings.grpc_tls().as_ref());
        assert_eq!((door.client_authority, door.plaintext_too), (None, false));
    }

    #[test]
    fn a_client_authority_is_asked_for_at_both_doors_but_where_one_is_told_otherwise() {
        let authority = |tls: &mut TlsSettings| {
            paper(tls);
            tls.client_authority = Some("ca.crt".into());
        };
        let both = with(authority);
        assert!(both.http_tls().unwrap().client_authority.is_some());
        assert!(both.grpc_tls().unwrap().client_authority.is_some());
        let probed = with(|tls| {
            authority(tls);
            tls.http = Some(TlsMode::Tls);
        });
        assert_eq!(probed.check(), vec![]);
        assert_eq!(probed.http_tls().unwrap().client_authority, None);
        assert!(probed.grpc_tls().unwrap().client_authority.is_some());
    }

    #[test]
    fn a_door_may_stay_in_plaintext_or_take_both() {
        let settings = with(|tls| {
            paper(tls);
            tls.http = Some(TlsMode::Off);
            tls.grpc_plaintext_too = true;
        });
        assert_eq!(settings.check(), vec![]);
        assert_eq!(settings.http_tls(), None);
        assert!(settings.grpc_tls().unwrap().plaintext_too);
        assert_eq!(
            settings.warnings(),
            ["tls.grpc_plaintext_too is set: plaintext is taken"]
        );
    }

    #[test]
    fn halves_are_refused_by_the_key_that_is_missing_or_in_vain() {
        assert_eq!(refused(|tls| tls.key = Some("k".into())), ["tls.certificate"]);
        assert_eq!(refused(|tls| tls.certificate = Some("c".into())), ["tls.key"]);
        assert_eq!(refused(|tls| tls.http = Some(TlsMode::Tls)), ["tls.http"]);
        assert_eq!(refused(|tls| tls.grpc_plaintext_too = true), ["tls.grpc_plaintext_too"]);
        assert_eq!(
            refused(|tls| tls.client_authority = Some("a".into())),
            ["tls.client_authority"]
        );
        assert_eq!(
            refused(|tls| {
                paper(tls);
                tls.grpc = Some(TlsMode::Mutual);
            }),
            ["tls.grpc"]
        );
        assert_eq!(
            refused(|tls| {
                paper(tls);
                tls.client_authority = Some("a".into());
                (tls.http, tls.grpc) = (Some(TlsMode::Tls), Some(TlsMode::Tls));
            }),
            ["tls.client_authority"]
        );
    }
}
