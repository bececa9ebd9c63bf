//! What a client says of itself when it sets up a stream.

use std::collections::BTreeMap;

/// Labels kept of a setup, and characters of each text; clients send three to five short ones.
const LABELS_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 256;

/// A stream's setup, cut to what is kept.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Setup {
    pub(super) client_version: Box<str>,
    /// What the client takes for its own address; shown, never believed.
    pub(super) client_ip: Box<str>,
    pub(super) tenant: Box<str>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) is_naming: bool,
}

impl Setup {
    pub(super) fn new(
        client_version: &str,
        client_ip: &str,
        tenant: &str,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .take(LABELS_MAX)
            .map(|(name, value)| (cut(&name).to_owned(), cut(&value).to_owned()))
            .collect();
        Self {
            client_version: cut(client_version).into(),
            client_ip: cut(client_ip).into(),
            tenant: cut(tenant).into(),
            is_naming: labels.get("module").is_some_and(|module| module == "naming"),
            labels,
        }
    }

    pub(super) fn app(&self) -> &str {
        self.labels.get("AppName").map_or("", String::as_str)
    }

    /// Whether this client's services are of `namespace`, as far as it says. It names its namespace or leaves it out.
    pub(super) fn may_be_of(&self, namespace: &str) -> bool {
        let plain = |name: &str| if name == "public" { String::new() } else { name.to_owned() };
        self.tenant.is_empty() || plain(&self.tenant) == plain(namespace)
    }
}

fn cut(text: &str) -> &str {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setup_keeps_no_more_than_its_share() {
        let long = "é".repeat(10_000);
        let labels = (0..1_000).map(|number| (format!("{number}{long}"), long.clone()));
        let setup = Setup::new(&long, &long, &long, labels);
        assert_eq!(setup.labels.len(), LABELS_MAX);
        let texts = setup.labels.iter().flat_map(|(name, value)| [name.as_str(), value]);
        let texts = texts.chain([&*setup.client_version, &*setup.client_ip, &*setup.tenant]);
        assert!(texts.into_iter().all(|text| text.chars().count() <= TEXT_CHARS_MAX));
    }

    #[test]
    fn the_default_namespace_has_two_names() {
        let of = |tenant| Setup::new("", "", tenant, []);
        assert!(of("").may_be_of("public") && of("").may_be_of("prod"));
        assert!(of("public").may_be_of("public") && !of("public").may_be_of("prod"));
        assert!(of("prod").may_be_of("prod") && !of("prod").may_be_of("public"));
    }
}
