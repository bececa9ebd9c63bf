//! What a client says of itself when it sets up a stream.

use muster_wire::grpc::ConnectionSetup;

/// A stream's setup.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Setup {
    pub(super) said: ConnectionSetup,
    /// What the client takes for its own address; shown, never believed.
    pub(super) client_ip: Box<str>,
}

/// Characters of an address; the longest are 45.
const CLIENT_IP_CHARS_MAX: usize = 64;

impl Setup {
    pub(super) fn new(said: ConnectionSetup, client_ip: &str) -> Self {
        Self {
            said,
            client_ip: client_ip.chars().take(CLIENT_IP_CHARS_MAX).collect(),
        }
    }

    pub(super) fn is_naming(&self) -> bool {
        self.said.is_naming()
    }

    /// Whether this client's services are of `namespace`, as far as it says. It names its namespace or leaves it out.
    pub(super) fn may_be_of(&self, namespace: &str) -> bool {
        let plain = |name: &'_ str| if name == "public" { "" } else { name }.to_owned();
        self.said.tenant.is_empty() || plain(&self.said.tenant) == plain(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_namespace_has_two_names() {
        let of = |tenant: &str| {
            let said = ConnectionSetup {
                tenant: tenant.to_owned(),
                ..ConnectionSetup::default()
            };
            Setup::new(said, "")
        };
        assert!(of("").may_be_of("public") && of("").may_be_of("prod"));
        assert!(of("public").may_be_of("public") && !of("public").may_be_of("prod"));
        assert!(of("prod").may_be_of("prod") && !of("prod").may_be_of("public"));
    }
}
