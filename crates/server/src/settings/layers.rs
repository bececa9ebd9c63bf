//! Reading the tree from all its sources, and naming the source of what is wrong.

use super::{Problem, Settings};
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::path::{Path, PathBuf};

/// What environment variables of ours begin with; `__` parts the sections: `MUSTER_HTTP__PREFIX`.
const ENVIRONMENT_PREFIX: &str = "MUSTER_";
/// Variables with the prefix that are no settings: `MUSTER_CONFIG` names the file, `MUSTER_BIN` the program that tests start,
/// the others are flags of the operator's commands.
const ENVIRONMENT_NOT_SETTINGS: [&str; 9] = [
    "BIN",
    "CONFIG",
    "SERVER",
    "NAMESPACE",
    "GROUP",
    "OUTPUT",
    "CA",
    "CLIENT_CERTIFICATE",
    "CLIENT_KEY",
];

/// Why a node does not start with the settings it was given.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: std::io::Error },
    #[error("{path}: {text}")]
    Syntax { path: PathBuf, text: String },
    #[error("{}", lines(.0))]
    Settings(Vec<Problem>),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

/// The sources laid over each other: defaults < file < environment < flags.
pub struct Layers {
    figment: Figment,
    defaults: Figment,
}

impl Default for Layers {
    /// The defaults alone.
    fn default() -> Self {
        let defaults = Figment::from(Serialized::defaults(Settings::default()));
        Self {
            figment: Figment::from(Named {
                metadata: Metadata::named("default"),
                data: Serialized::defaults(Settings::default()).data().unwrap_or_default(),
            }),
            defaults,
        }
    }
}

impl Layers {
    /// Lays a file over what is there.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML.
    pub fn file(self, path: &Path) -> Result<Self, LoadError> {
        let text = std::fs::read_to_string(path).map_err(|source| LoadError::File {
            path: path.to_owned(),
            source,
        })?;
        let data = Toml::string(&text).data().map_err(|error| LoadError::Syntax {
            path: path.to_owned(),
            text: error.to_string(),
        })?;
        let metadata = Metadata::named(path.display().to_string());
        Ok(Self {
            figment: self.figment.merge(Named { metadata, data }),
            ..self
        })
    }

    /// Lays the variables of the environment over what is there. `RUST_LOG` counts as `log.filter`.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut variables: Vec<_> = variables.into_iter().collect();
        variables.sort();
        let ours = |name: &str| name.strip_prefix(ENVIRONMENT_PREFIX).map(str::to_owned);
        if let Some((name, filter)) = variables.iter().find(|(name, _)| name == "RUST_LOG")
            && !filter.is_empty()
        {
            self = self.entry(&format!("environment variable {name}"), "log.filter", filter);
        }
        for (name, value) in &variables {
            let Some(key) = ours(name).filter(|key| !ENVIRONMENT_NOT_SETTINGS.contains(&key.as_str())) else {
                continue;
            };
            let key = key.to_ascii_lowercase().replace("__", ".");
            self = self.entry(&format!("environment variable {name}"), &key, value);
        }
        self
    }

    /// Lays one flag over what is there.
    pub fn flag(self, flag: &str, key: &str, value: &str) -> Self {
        self.entry(&format!("flag {flag}"), key, value)
    }

    fn entry(self, source: &str, key: &str, text: &str) -> Self {
        if key.split('.').any(str::is_empty) {
            // Kept as a key of its own, so that it is refused by its name.
            let data = Profile::Default.collect(Dict::from([(key.to_owned(), Value::from(text))]));
            let metadata = Metadata::named(source.to_owned());
            return Self {
                figment: self.figment.merge(Named { metadata, data }),
                ..self
            };
        }
        let value = parse(text, self.defaults.find_value(key).ok().as_ref());
        let nested = figment::util::nest(key, value);
        let data = Profile::Default.collect(nested.into_dict().unwrap_or_default());
        let metadata = Metadata::named(source.to_owned());
        Self {
            figment: self.figment.merge(Named { metadata, data }),
            ..self
        }
    }

    /// The tree, checked.
    ///
    /// # Errors
    /// Every problem by key, value and source.
    pub fn load(&self) -> Result<Settings, LoadError> {
        let settings: Settings = self.figment.extract().map_err(|error| {
            LoadError::Settings(error.into_iter().map(|error| self.problem(&error)).collect::<Vec<_>>())
        })?;
        let problems: Vec<_> = settings
            .check()
            .into_iter()
            .map(|(key, why)| self.problem_at(key, why))
            .collect();
        if problems.is_empty() {
            Ok(settings)
        } else {
            Err(LoadError::Settings(problems))
        }
    }

    /// Where the value of a key comes from.
    pub fn source_of(&self, key: &str) -> String {
        self.figment
            .find_metadata(key)
            .map_or_else(|| "unset".to_owned(), |metadata| metadata.name.to_string())
    }

    fn problem(&self, error: &figment::Error) -> Problem {
        let mut path: Vec<&str> = error.path.iter().map(String::as_str).collect();
        let why = match &error.kind {
            Kind::UnknownField(field, known) => {
                if path.last() != Some(&field.as_str()) {
                    path.push(field);
                }
                format!("no such setting here; there are {}", known.join(", "))
            }
            Kind::UnknownVariant(_, known) => format!("must be one of {}", known.join(", ")),
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                format!("must be {}", in_words(expected))
            }
            Kind::Message(text) => text.clone(),
            other => other.to_string(),
        };
        let key = path.join(".");
        let mut problem = self.problem_at(&key, why);
        if let Some(metadata) = &error.metadata {
            problem.source = metadata.name.to_string();
        }
        problem
    }

    fn problem_at(&self, key: &str, why: String) -> Problem {
        Problem {
            key: key.to_owned(),
            value: self
                .figment
                .find_value(key)
                .map_or_else(|_| "(unset)".to_owned(), |value| show(&value)),
            source: self.source_of(key),
            why,
        }
    }
}

/// What was expected, without the names of Rust's types.
fn in_words(expected: &str) -> &str {
    match expected {
        "u64" | "usize" | "u32" | "u16" => "a whole number, 0 or above",
        other => other,
    }
}

/// A value as it would be written in a file.
fn show(value: &Value) -> String {
    match value {
        Value::Empty(..) => "(unset)".to_owned(),
        other => serde_json::to_string(other).unwrap_or_else(|error| error.to_string()),
    }
}

/// Reads a text of the environment or of a flag: as what the default is, so that a number may be the name of a cluster.
/// Lists are written with commas.
fn parse(text: &str, default: Option<&Value>) -> Value {
    let scalar = |text: &str| text.parse::<Value>().unwrap_or_else(|_| Value::from(text));
    match default {
        Some(Value::String(..)) => Value::from(text),
        Some(Value::Array(..)) if !text.trim_start().starts_with('[') => Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(scalar)
                .collect::<Vec<_>>(),
        ),
        _ => scalar(text),
    }
}

/// Data with the name of where it comes from.
struct Named {
    metadata: Metadata,
    data: Map<Profile, Dict>,
}

impl Provider for Named {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(self.data.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Layers {
        Layers::default().environment(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn refusal(layers: &Layers) -> String {
        layers.load().expect_err("must be refused").to_string()
    }

    #[test]
    fn the_defaults_are_a_node_on_loopback() {
        let settings = Layers::default().load().unwrap();
        assert_eq!(settings, Settings::default());
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8848");
    }

    #[test]
    fn flags_go_over_environment_over_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("muster.toml");
        std::fs::write(
            &file,
            "id = 2\ncluster_name = \"file\"\ndata_dir = \"f\"\n[http]\nprefix = \"/f\"\n",
        )
        .unwrap();
        let settings = Layers::default()
            .file(&file)
            .unwrap()
            .environment([
                ("MUSTER_CLUSTER_NAME".to_owned(), "42".to_owned()),
                ("MUSTER_HTTP__PREFIX".to_owned(), "/e".to_owned()),
                ("MUSTER_SERVER".to_owned(), "10.0.0.1:8848".to_owned()),
            ])
            .flag("--prefix", "http.prefix", "/flag")
            .load()
            .unwrap();
        assert_eq!(
            (
                settings.id,
                settings.cluster_name.as_str(),
                settings.http.prefix.as_str()
            ),
            (2, "42", "/flag")
        );
        assert_eq!(settings.data_dir, PathBuf::from("f"));
    }

    #[test]
    fn members_are_written_with_commas_or_as_a_list() {
        let members = "1@127.0.0.1:8848,2@127.0.0.1:8858,3@127.0.0.1:8868";
        let by_flag = Layers::default().flag("--members", "members", members).load().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("muster.toml");
        std::fs::write(
            &file,
            "members = [\"1@127.0.0.1:8848\", \"2@127.0.0.1:8858\", \"3@127.0.0.1:8868\"]",
        )
        .unwrap();
        let by_file = Layers::default().file(&file).unwrap().load().unwrap();
        assert_eq!(by_flag, by_file);
        assert_eq!(by_flag.members.members().len(), 3);
    }

    #[test]
    fn an_unknown_key_is_refused_with_key_value_and_source() {
        let said = refusal(&environment(&[("MUSTER_HTTP__PREFX", "/x")]));
        assert!(
            said.contains("http.prefx = \"/x\" (environment variable MUSTER_HTTP__PREFX)"),
            "{said}"
        );
        let said = refusal(&Layers::default().flag("--set", "nothing", "1"));
        assert!(said.contains("nothing = 1 (flag --set)"), "{said}");
        let said = refusal(&Layers::default().flag("--set", "a..b", "1"));
        assert!(said.contains("a..b"), "{said}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_key_value_and_source() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("muster.toml");
        std::fs::write(&file, "[raft]\nheartbeat_ms = \"soon\"\n").unwrap();
        let said = refusal(&Layers::default().file(&file).unwrap());
        assert!(said.contains("raft.heartbeat_ms = \"soon\""), "{said}");
        assert!(said.contains("muster.toml"), "{said}");
        for (key, value) in [
            ("listen", "here"),
            ("members", "1@h"),
            ("raft.sync", "sometimes"),
            ("log.format", "xml"),
            ("id", "-1"),
            ("push.retries_ms", "1000,x"),
        ] {
            let said = refusal(&Layers::default().flag("--set", key, value));
            assert!(said.contains(key) && said.contains("flag --set"), "{key}: {said}");
        }
    }

    #[test]
    fn values_that_contradict_each_other_are_refused_by_key() {
        let said = refusal(&environment(&[("MUSTER_RAFT__ELECTION_MIN_MS", "2000")]));
        assert!(
            said.contains("raft.election_min_ms = 2000 (environment variable MUSTER_RAFT__ELECTION_MIN_MS)"),
            "{said}"
        );
        let said = refusal(
            &Layers::default()
                .flag("--id", "id", "4")
                .flag("--members", "members", "1@a:8848"),
        );
        assert!(said.contains("id = 4"), "{said}");
    }

    #[test]
    fn a_file_that_is_missing_or_no_toml_is_refused_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("muster.toml");
        let missing = Layers::default().file(&file).err().unwrap().to_string();
        assert!(missing.contains("muster.toml"), "{missing}");
        std::fs::write(&file, "id = = 2").unwrap();
        let broken = Layers::default().file(&file).err().unwrap().to_string();
        assert!(broken.contains("muster.toml"), "{broken}");
    }

    #[test]
    fn rust_log_sets_the_filter_unless_ours_does() {
        assert_eq!(
            environment(&[("RUST_LOG", "debug")]).load().unwrap().log.filter,
            "debug"
        );
        let both = environment(&[("RUST_LOG", "debug"), ("MUSTER_LOG__FILTER", "warn")]);
        assert_eq!(both.load().unwrap().log.filter, "warn");
    }
}
