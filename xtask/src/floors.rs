//! Which crate stands on which floor, and which arrows are wrong.

use std::collections::BTreeMap;

/// A crate uses only what stands below it. `model` is the ground that all stand on: it is nothing but plain values, and
/// `runtime` issues its stamps.
const FLOORS: [(&str, u8); 16] = [
    ("server", 7),
    ("api", 6),
    ("naming", 5),
    ("ephemeral", 4),
    ("persistent", 4),
    ("auth", 4),
    ("cli", 4),
    ("consensus", 3),
    ("membership", 3),
    ("sdk", 3),
    ("push", 2),
    ("transport", 2),
    ("wire", 2),
    ("storage", 2),
    ("runtime", 1),
    ("model", 0),
];

pub(crate) fn floor_of(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// Each crate with what it uses, without the `muster-` of the package names.
pub(crate) type Arrows = BTreeMap<String, Vec<String>>;

/// The arrows that do not run down, and the crates that stand nowhere.
pub(crate) fn wrong_arrows(arrows: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    for (user, used) in arrows {
        let Some(from) = floor_of(user) else {
            wrong.push(format!("{user} has no floor; give it one in xtask/src/floors.rs"));
            continue;
        };
        for name in used {
            match floor_of(name) {
                Some(to) if to < from => {}
                Some(to) => wrong.push(format!("{user} (floor {from}) uses {name} (floor {to})")),
                None => wrong.push(format!("{user} uses {name}, which has no floor")),
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrows(of: &[(&str, &[&str])]) -> Arrows {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        of.iter()
            .map(|(user, used)| ((*user).to_owned(), owned(used)))
            .collect()
    }

    #[test]
    fn arrows_that_run_down_are_well() {
        assert!(wrong_arrows(&arrows(&[("server", &["api", "model"]), ("runtime", &["model"])])).is_empty());
    }

    #[test]
    fn an_upward_or_level_arrow_is_named() {
        let wrong = wrong_arrows(&arrows(&[("push", &["naming"]), ("ephemeral", &["persistent"])]));
        assert_eq!(
            wrong,
            [
                "ephemeral (floor 4) uses persistent (floor 4)",
                "push (floor 2) uses naming (floor 5)"
            ]
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_named() {
        assert_eq!(wrong_arrows(&arrows(&[("util", &[])])).len(), 1);
        assert_eq!(
            wrong_arrows(&arrows(&[("api", &["util"])])),
            ["api uses util, which has no floor"]
        );
    }
}
