//! The settings written out: the effective ones for `--print-config`, all of them for `docs/config.md`.

use super::section::Field;
use super::tree::*;
use super::{Layers, Settings, TlsSettings};
use serde_json::Value;
use std::fmt::Write as _;

/// Each section's name in a file, what it is for, and its keys; the tree's own keys first.
fn sections() -> Vec<(&'static str, &'static [&'static str], &'static [Field])> {
    macro_rules! sections {
        ($($name:literal: $type:ty),* $(,)?) => { vec![$(($name, <$type>::ABOUT, <$type>::FIELDS)),*] };
    }
    sections![
        "": Settings,
        "http": HttpSettings,
        "grpc": GrpcSettings,
        "tls": TlsSettings,
        "udp": UdpSettings,
        "raft": RaftSettings,
        "persistent": PersistentSettings,
        "ephemeral": EphemeralSettings,
        "membership": MembershipSettings,
        "push": PushSettings,
        "naming": NamingSettings,
        "log": LogSettings,
        "shutdown": ShutdownSettings,
    ]
}

/// A value as TOML writes it. JSON's texts, numbers and lists are TOML's too.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml_of).collect::<Vec<_>>().join(", ")),
        // As JSON has it, whose escapes are TOML's, but for the one character that must not stand in TOML as it is.
        other => other.to_string().replace('\u{7f}', "\\u007f"),
    }
}

fn tree(settings: &Settings) -> Value {
    serde_json::to_value(settings).expect("settings hold texts, numbers and lists")
}

fn keys_of<'a>(
    tree: &'a Value,
    section: &str,
    fields: &'static [Field],
) -> impl Iterator<Item = (String, &'static Field, &'a Value)> {
    let (values, prefix) = match section {
        "" => (tree, String::new()),
        named => (&tree[named], format!("{named}.")),
    };
    fields.iter().filter_map(move |field| {
        let value = &values[field.name];
        (!value.is_object()).then(|| (format!("{prefix}{}", field.name), field, value))
    })
}

/// The effective settings as a file that sets them, each with its source.
pub fn print_effective(settings: &Settings, layers: &Layers) -> String {
    let tree = tree(settings);
    let mut page = String::new();
    for (name, _, fields) in sections() {
        if !name.is_empty() {
            let _ = writeln!(page, "\n[{name}]");
        }
        for (key, field, value) in keys_of(&tree, name, fields) {
            let source = layers.source_of(&key);
            let _ = match value {
                Value::Null => writeln!(page, "# {} is unset", field.name),
                value => writeln!(page, "{} = {} # {source}", field.name, toml_of(value)),
            };
        }
    }
    page
}

/// The page `docs/config.md`.
pub fn config_page() -> String {
    let tree = tree(&Settings::default());
    let mut page = String::from(HEAD);
    for (name, about, fields) in sections() {
        let about = about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        let title = if name.is_empty() {
            "Top of the file".to_owned()
        } else {
            format!("`[{name}]`")
        };
        let _ = writeln!(
            page,
            "\n## {title}\n\n{about}\n\n| key | default | meaning |\n| --- | --- | --- |"
        );
        for (_, field, value) in keys_of(&tree, name, fields) {
            let default = match value {
                Value::Null => "unset".to_owned(),
                value => format!("`{}`", toml_of(value)),
            };
            let meaning = field.about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
            let _ = writeln!(
                page,
                "| `{}` | {default} | {} |",
                field.name,
                meaning.replace('|', "\\|")
            );
        }
    }
    page
}

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from crates/server/src/settings; edit there. -->
# Settings

`muster server` reads its settings from four places, each over the one before: defaults, a file (`--config muster.toml` or
`MUSTER_CONFIG`), the environment (`MUSTER_` and the key, `__` between section and key: `MUSTER_HTTP__PREFIX=/nacos`) and flags
(`--listen`, or `--set section.key=value` for any key). Lists are written with commas in the environment and in flags.

An unknown key or a wrong value ends the start with the key, its value and where it came from. `muster server --print-config`
shows what a node would run with and where each value comes from. In Kubernetes, a Service named `muster` puts variables such as
`MUSTER_PORT` into every pod, which are unknown keys here: set `enableServiceLinks: false`.

Keys that end in `_ms` are milliseconds.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same_settings() {
        let layers = Layers::default()
            .flag("--members", "members", "1@h:8848,2@h:8858,3@h:8868")
            .flag("--set", "push.retries_ms", "5,6")
            .flag("--set", "cluster_name", "a \"quoted\" \\ name, \u{1}\t\u{7f}\u{85}");
        let settings = layers.load().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("printed.toml");
        std::fs::write(&file, print_effective(&settings, &layers)).unwrap();
        assert_eq!(Layers::default().file(&file).unwrap().load().unwrap(), settings);
    }

    #[test]
    fn each_value_is_printed_with_its_source() {
        let layers = Layers::default().flag("--id", "id", "7");
        let printed = print_effective(&layers.load().unwrap(), &layers);
        assert!(printed.contains("id = 7 # flag --id"), "{printed}");
        assert!(printed.contains("prefix = \"/nacos\" # default"), "{printed}");
    }

    #[test]
    fn every_key_has_a_meaning() {
        let tree = tree(&Settings::default());
        for (name, _, fields) in sections() {
            for (key, field, _) in keys_of(&tree, name, fields) {
                assert!(!field.about.is_empty(), "{key} has no doc comment");
            }
        }
    }

    #[test]
    fn every_section_of_the_tree_is_on_the_page() {
        let tree = tree(&Settings::default());
        let sections: Vec<_> = sections().into_iter().map(|(name, ..)| name).collect();
        for (key, value) in tree.as_object().unwrap() {
            if value.is_object() {
                assert!(sections.contains(&key.as_str()), "{key}");
            }
        }
    }

    #[test]
    fn docs_config_md_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/config.md");
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == config_page(), "docs/config.md is old: run cargo xtask docs");
    }
}
