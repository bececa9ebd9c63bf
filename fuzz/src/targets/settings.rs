//! What an operator writes.

use crate::input::{folder, split};
use muster_server::settings::{Layers, LoadError, Settings, print_effective};

/// A file, a zero byte, and the environment line by line.
pub(crate) fn settings(input: &[u8]) {
    let (file, environment) = split(input, 0);
    let Ok(environment) = std::str::from_utf8(environment) else {
        return;
    };
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Ok((settings, layers)) = load(file, variables) else {
        return;
    };
    let page = print_effective(&settings, &layers);
    let again = load(page.as_bytes(), std::iter::empty());
    let again = again.map_err(|error| format!("{error}\n{page}"));
    assert_eq!(
        again.map(|(settings, _)| settings),
        Ok(settings),
        "what is printed sets the same: {page}"
    );
}

fn load(file: &[u8], variables: impl Iterator<Item = (String, String)>) -> Result<(Settings, Layers), LoadError> {
    let path = folder().join("muster.toml");
    std::fs::write(&path, file).expect("the folder can be written to");
    let layers = Layers::default().file(&path)?.environment(variables);
    match layers.load() {
        Ok(settings) => Ok((settings, layers)),
        Err(error) => {
            assert!(!error.to_string().is_empty(), "it says what is wrong");
            Err(error)
        }
    }
}
