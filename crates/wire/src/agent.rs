//! Which client library is asking, told by its `User-Agent`, and what may be assumed of it.

/// The client libraries that behave differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AgentFamily {
    /// `Nacos-Java-Client`; Node's SDK claims to be it too (T-5).
    Java,
    Go,
    CSharp,
    /// `Nacos-C-Client` and its older name `vip-client4cpp`.
    C,
    Dns,
    /// Our own SDK.
    Muster,
    /// Python, browsers, curl and everybody else.
    Other,
}

/// A client library and its version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agent {
    pub family: AgentFamily,
    /// Major, minor, patch; zeros where the text has none.
    pub version: (u32, u32, u32),
}

/// The prefixes Nacos matches, letter by letter, with the first version that is pushed to (reference nacos-http 9.8,
/// the defaults of its `pushVersion` switch).
const KNOWN: [(&str, AgentFamily, (u32, u32, u32)); 7] = [
    ("Nacos-Java-Client:v", AgentFamily::Java, (0, 1, 0)),
    ("Nacos-Go-Client:v", AgentFamily::Go, (0, 1, 0)),
    ("Nacos-CSharp-Client:v", AgentFamily::CSharp, (0, 9, 0)),
    ("Nacos-C-Client:v", AgentFamily::C, (1, 0, 12)),
    ("vip-client4cpp:v", AgentFamily::C, (1, 0, 12)),
    ("Nacos-DNS:v", AgentFamily::Dns, (0, 4, 3)),
    ("muster-sdk:v", AgentFamily::Muster, (0, 1, 0)),
];

/// The largest UDP payload over IPv4: 65,535 less the IP and UDP headers.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// The receive buffer of Go's SDK, v1 and v2; what is longer is cut off there and lost (T-39).
const GO_DATAGRAM_BYTES_MAX: usize = 4_024;

impl Agent {
    /// Reads the two headers as Nacos does: `Client-Version` counts only where `User-Agent` is absent or blank.
    pub fn parse(user_agent: Option<&str>, client_version: Option<&str>) -> Self {
        let text = Self::text(user_agent, client_version);
        KNOWN
            .iter()
            .find_map(|(prefix, family, _)| {
                let version = parse_version(text.strip_prefix(prefix)?);
                Some(Self {
                    family: *family,
                    version,
                })
            })
            .unwrap_or(Self {
                family: AgentFamily::Other,
                version: (0, 0, 0),
            })
    }

    /// The header of the two that counts, for showing in listings.
    pub fn text<'a>(user_agent: Option<&'a str>, client_version: Option<&'a str>) -> &'a str {
        let said = |header: Option<&'a str>| header.map(str::trim).filter(|text| !text.is_empty());
        said(user_agent).or(said(client_version)).unwrap_or("")
    }

    /// Whether it listens for datagrams, given that it named a port.
    pub fn pushes(&self) -> bool {
        KNOWN
            .iter()
            .any(|(_, family, version_min)| *family == self.family && self.version >= *version_min)
    }

    /// The largest datagram it can receive.
    pub fn datagram_bytes_max(&self) -> usize {
        match self.family {
            AgentFamily::Go => GO_DATAGRAM_BYTES_MAX,
            _ => DATAGRAM_BYTES_MAX,
        }
    }

    /// Whether `dom` and `hosts[].serviceName` carry the group in lists for it (reference nacos-http 3.7).
    pub fn grouped_names(&self) -> bool {
        self.family == AgentFamily::Muster || self.is_java_1()
    }

    /// Whether `PUT /instance` of an unknown instance is an error to it; to all others it registers (T-19).
    pub fn strict_put(&self) -> bool {
        self.is_java_1()
    }

    fn is_java_1(&self) -> bool {
        self.family == AgentFamily::Java && self.version >= (1, 0, 0)
    }
}

/// The leading `N.N.N` of a version; what follows (`-SNAPSHOT`) is ignored, what is missing is 0.
fn parse_version(text: &str) -> (u32, u32, u32) {
    let mut parts = text.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse::<u32>().unwrap_or(0)
    });
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(text: &str) -> Agent {
        Agent::parse(Some(text), None)
    }

    #[test]
    fn only_the_listed_agents_from_their_first_version_on_are_pushed_to() {
        for (text, pushes) in [
            ("Nacos-Java-Client:v1.4.6", true),
            ("Nacos-Java-Client:v0.1.0", true),
            ("Nacos-Java-Client:v0.0.9", false),
            ("Nacos-Java-Client:v1.4.2-SNAPSHOT", true),
            ("Nacos-Java-Client:v", false),
            ("Nacos-Java-Client", false),
            ("Nacos-Go-Client:v1.1.4", true),
            ("Nacos-go-Client:v1.0.1", false),
            ("Nacos-CSharp-Client:v0.8.9", false),
            ("Nacos-CSharp-Client:v0.9.0", true),
            ("Nacos-C-Client:v1.0.11", false),
            ("Nacos-C-Client:v1.0.12", true),
            ("vip-client4cpp:v1.0.12", true),
            ("Nacos-DNS:v0.4.3", true),
            ("muster-sdk:v0.1.0", true),
            ("Nacos-Python-Client:v1.0.0", false),
            ("Nacos-SDK-Java:v2.0.0", false),
            ("unit-nginx:v9.9.9", false),
            ("Nacos-Server:v1.4.6", false),
            ("curl/8.5.0", false),
            ("", false),
        ] {
            assert_eq!(agent(text).pushes(), pushes, "{text}");
        }
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(agent("Nacos-C-Client:v1.0.9").version, (1, 0, 9));
        assert!(agent("Nacos-C-Client:v1.0.112").pushes());
        assert_eq!(agent("Nacos-Java-Client:v99999999999.1").version, (0, 1, 0));
    }

    #[test]
    fn client_version_counts_only_without_a_user_agent() {
        let java = Some("Nacos-Java-Client:v1.0.0");
        assert_eq!(Agent::parse(None, java).family, AgentFamily::Java);
        assert_eq!(Agent::parse(Some("  "), java).family, AgentFamily::Java);
        assert_eq!(Agent::parse(Some("curl"), java).family, AgentFamily::Other);
    }

    #[test]
    fn go_takes_4024_bytes_and_all_others_a_whole_datagram() {
        assert_eq!(agent("Nacos-Go-Client:v1.1.4").datagram_bytes_max(), 4_024);
        assert_eq!(agent("Nacos-Java-Client:v1.4.6").datagram_bytes_max(), 65_507);
        assert_eq!(agent("muster-sdk:v0.1.0").datagram_bytes_max(), 65_507);
    }

    #[test]
    fn java_from_1_0_has_grouped_names_and_a_strict_put() {
        for (text, grouped, strict) in [
            ("Nacos-Java-Client:v1.0.0", true, true),
            ("Nacos-Java-Client:v0.9.9", false, false),
            ("Nacos-Go-Client:v1.1.4", false, false),
            ("muster-sdk:v0.1.0", true, false),
            ("curl/8", false, false),
        ] {
            assert_eq!(
                (agent(text).grouped_names(), agent(text).strict_put()),
                (grouped, strict),
                "{text}"
            );
        }
    }
}
