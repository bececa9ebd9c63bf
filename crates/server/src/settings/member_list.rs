//! The members as a person writes them.

use muster_model::{Member, MemberId};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Peers answer each other at the main port + 1001, as Nacos's do.
pub(super) const PEER_PORT_OFFSET: u16 = 1001;
/// gRPC clients are told the main port and add 1000.
pub(crate) const GRPC_PORT_OFFSET: u16 = 1000;

/// Why a text is not a list of members.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberListError {
    #[error("member {0:?} is not id@host:port, such as 1@10.0.0.1:8848")]
    Form(String),
    #[error("the id of member {0:?} is not a number above 0")]
    Id(String),
    #[error("the port of member {0:?} is not a number from 1 to {max}", max = u16::MAX - PEER_PORT_OFFSET)]
    Port(String),
    #[error("two members have the id {0}")]
    TwiceId(MemberId),
    #[error("two members have the address {0}")]
    TwiceAddress(String),
}

/// The founding members, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberList(Vec<Member>);

impl MemberList {
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn find(&self, id: MemberId) -> Option<&Member> {
        self.0.iter().find(|member| member.id == id)
    }

    fn of(mut members: Vec<Member>) -> Result<Self, MemberListError> {
        members.sort();
        for pair in members.windows(2) {
            if pair[0].id == pair[1].id {
                return Err(MemberListError::TwiceId(pair[0].id));
            }
        }
        let mut addresses: Vec<_> = members.iter().map(|member| &member.client_address).collect();
        addresses.sort();
        if let Some(twice) = addresses.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(MemberListError::TwiceAddress(twice[0].clone()));
        }
        Ok(Self(members))
    }
}

/// Parses `id@host:port` or `id@host:port/peer-port`.
pub(super) fn parse_member(text: &str) -> Result<Member, MemberListError> {
    let text = text.trim();
    let form = || MemberListError::Form(text.to_owned());
    let port = |digits: &str, max: u16| match digits.parse::<u16>() {
        Ok(port) if port > 0 && port <= max => Ok(port),
        _ => Err(MemberListError::Port(text.to_owned())),
    };
    let (id, address) = text.split_once('@').ok_or_else(form)?;
    let id = match id.parse::<u64>() {
        Ok(id) if id > 0 => MemberId(id),
        _ => return Err(MemberListError::Id(text.to_owned())),
    };
    let (address, peer_port) = match address.split_once('/') {
        Some((address, digits)) => (address, Some(port(digits, u16::MAX)?)),
        None => (address, None),
    };
    let (host, main_port) = address.rsplit_once(':').ok_or_else(form)?;
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_ipv6 || host.chars().any(|c| c.is_whitespace() || c.is_control() || c == '@') {
        return Err(form());
    }
    let main_port = port(
        main_port,
        if peer_port.is_some() {
            u16::MAX
        } else {
            u16::MAX - PEER_PORT_OFFSET
        },
    )?;
    let peer_port = peer_port.unwrap_or(main_port.saturating_add(PEER_PORT_OFFSET));
    Ok(Member {
        id,
        client_address: format!("{host}:{main_port}"),
        peer_address: format!("{host}:{peer_port}"),
    })
}

impl FromStr for MemberList {
    type Err = MemberListError;

    fn from_str(text: &str) -> Result<Self, MemberListError> {
        let members = text
            .split(',')
            .filter(|entry| !entry.trim().is_empty())
            .map(parse_member)
            .collect::<Result<_, _>>()?;
        Self::of(members)
    }
}

/// As [`parse_member`] reads it.
fn render(member: &Member) -> String {
    let port_of = |address: &str| address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    match (port_of(&member.client_address), port_of(&member.peer_address)) {
        (Some(main), Some(peer)) if main.checked_add(PEER_PORT_OFFSET) != Some(peer) => {
            format!("{}@{}/{peer}", member.id, member.client_address)
        }
        _ => format!("{}@{}", member.id, member.client_address),
    }
}

impl Serialize for MemberList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(render))
    }
}

/// A list of texts in a file; one text with commas in the environment and in flags.
impl<'de> Deserialize<'de> for MemberList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = MemberList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("members as id@host:port")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<MemberList, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<MemberList, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = entries.next_element::<String>()? {
                    members.push(parse_member(&entry).map_err(serde::de::Error::custom)?);
                }
                MemberList::of(members).map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_names_its_id_its_address_and_perhaps_its_peer_port() {
        let member = parse_member("3@db-1.internal:8848").unwrap();
        assert_eq!(member.peer_address, "db-1.internal:9849");
        let member = parse_member(" 3@[::1]:8848/7000 ").unwrap();
        assert_eq!(
            (member.client_address.as_str(), member.peer_address.as_str()),
            ("[::1]:8848", "[::1]:7000")
        );
    }

    #[test]
    fn what_is_not_a_member_is_refused_with_the_text_in_the_message() {
        for wrong in [
            "10.0.0.1:8848",
            "x@h:1",
            "0@h:1",
            "1@h",
            "1@:8848",
            "1@h:0",
            "1@h:65000",
            "1@::1:8848",
            "1@h h:1",
        ] {
            let error = parse_member(wrong).unwrap_err().to_string();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn ids_and_addresses_may_not_come_twice() {
        assert_eq!(
            "1@a:1,1@b:1".parse::<MemberList>(),
            Err(MemberListError::TwiceId(MemberId(1)))
        );
        assert_eq!(
            "1@a:1,2@a:1".parse::<MemberList>(),
            Err(MemberListError::TwiceAddress("a:1".to_owned()))
        );
    }

    #[test]
    fn a_rendered_member_reads_back_the_same() {
        for text in ["1@a:8848", "2@[::1]:8848/7000"] {
            assert_eq!(render(&parse_member(text).unwrap()), text);
        }
    }
}
