//! Networks as an operator writes them: `10.0.0.0/8`, `fd00::/8`, or an address alone.

use std::net::IpAddr;

/// The networks that datagrams may go to.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks(Vec<Network>);

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// What was written is not a network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a network such as 10.0.0.0/8")]
pub(super) struct NotANetwork {
    text: String,
}

impl Networks {
    pub(super) fn parse(texts: &[String]) -> Result<Self, NotANetwork> {
        let parsed = texts
            .iter()
            .map(|text| Network::parse(text.trim()).ok_or_else(|| NotANetwork { text: text.clone() }));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// Whether the address lies in one of them; no networks at all admit every address.
    pub(super) fn admit(&self, address: IpAddr) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= bits_max)?,
            None => bits_max,
        };
        Some(Self { address, bits })
    }

    fn holds(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.leading_zeros() >= self.bits
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Result<Networks, NotANetwork> {
        Networks::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_address_is_admitted_by_the_network_it_lies_in() {
        let networks = networks(&["10.0.0.0/8", "192.0.2.7", "fd00::/8"]).unwrap();
        for (address, admitted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ] {
            assert_eq!(networks.admit(address.parse().unwrap()), admitted, "{address}");
        }
    }

    #[test]
    fn none_admit_all_and_zero_bits_admit_the_family() {
        assert!(networks(&[]).unwrap().admit("8.8.8.8".parse().unwrap()));
        let v4 = networks(&["0.0.0.0/0"]).unwrap();
        assert!(v4.admit("8.8.8.8".parse().unwrap()));
        assert!(!v4.admit("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused_by_its_text() {
        for text in [
            "10.0.0.0/33",
            "10.0.0/8",
            "host",
            "",
            "10.0.0.0/",
            "::/129",
            "10.0.0.0/-1",
        ] {
            assert!(networks(&[text]).is_err(), "{text}");
        }
    }
}
