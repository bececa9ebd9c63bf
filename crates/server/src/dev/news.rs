//! What there is to say when the cluster looks different from a moment ago.

use muster_sdk::Error;
use muster_sdk::answers::ClusterStatus;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Running,
    /// Ended, and how.
    Ended(String),
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Running => f.write_str("running"),
            Process::Ended(how) => f.write_str(how),
        }
    }
}

/// One node at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) id: u64,
    /// Of the process that `dev` started; one started by hand instead shows in `ready` alone.
    pub(super) process: Process,
    pub(super) ready: bool,
    pub(super) reasons: Vec<String>,
    pub(super) leader: Option<u64>,
    /// The other members it counts as dead.
    pub(super) dead: Vec<u64>,
}

impl Sight {
    pub(super) fn starting(id: u64) -> Self {
        Self {
            id,
            process: Process::Running,
            ready: false,
            reasons: Vec::new(),
            leader: None,
            dead: Vec::new(),
        }
    }

    pub(super) fn of(id: u64, process: Process, status: Result<ClusterStatus, Error>) -> Self {
        let starting = Self {
            process,
            ..Self::starting(id)
        };
        match status {
            Ok(status) => Self {
                ready: status.ready,
                reasons: status.reasons,
                leader: status.leader,
                dead: status
                    .members
                    .iter()
                    .filter(|member| !member.alive)
                    .map(|member| member.id)
                    .collect(),
                ..starting
            },
            Err(error) => Self {
                reasons: vec![error.to_string()],
                ..starting
            },
        }
    }

    /// Why it is not ready.
    pub(super) fn why(&self) -> String {
        if self.reasons.is_empty() {
            "it does not say why".to_owned()
        } else {
            self.reasons.join("; ")
        }
    }
}

/// A line for each thing that happened between two looks at the same nodes.
pub(super) fn news(before: &[Sight], now: &[Sight]) -> Vec<String> {
    let mut lines = Vec::new();
    for (old, new) in before.iter().zip(now) {
        if let (Process::Running, Process::Ended(how)) = (&old.process, &new.process) {
            lines.push(format!("node {} has ended ({how}); it is not started again", new.id));
        }
        match (old.ready, new.ready) {
            (true, false) if new.process == Process::Running => {
                lines.push(format!("node {} is not ready: {}", new.id, new.why()));
            }
            (false, true) => lines.push(format!("node {} is ready", new.id)),
            _ => {}
        }
    }
    let (old_leader, new_leader) = (leader(before), leader(now));
    if old_leader != new_leader {
        lines.push(match new_leader {
            Some(id) => format!("node {id} leads"),
            None => "no node leads: persistent writes are refused".to_owned(),
        });
    }
    for (old, new) in before.iter().zip(now).filter(|(_, new)| new.ready) {
        for id in new.dead.iter().filter(|id| !old.dead.contains(id)) {
            lines.push(format!("node {} counts member {id} as dead", new.id));
        }
        for id in old.dead.iter().filter(|id| old.ready && !new.dead.contains(id)) {
            lines.push(format!("node {} sees member {id} again", new.id));
        }
    }
    lines
}

/// Whom most of the nodes that say so follow.
fn leader(sights: &[Sight]) -> Option<u64> {
    let said: Vec<_> = sights.iter().filter_map(|sight| sight.leader).collect();
    said.iter()
        .copied()
        .max_by_key(|id| said.iter().filter(|other| *other == id).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(id: u64, leader: u64) -> Sight {
        Sight {
            ready: true,
            leader: Some(leader),
            ..Sight::starting(id)
        }
    }

    #[test]
    fn nothing_new_is_nothing_to_say() {
        let sights = [ready(1, 1), ready(2, 1)];
        assert!(news(&sights, &sights).is_empty());
    }

    #[test]
    fn a_killed_leader_is_said_to_have_ended_and_its_successor_to_lead() {
        let before = [ready(1, 1), ready(2, 1), ready(3, 1)];
        let gone = Sight {
            process: Process::Ended("signal: 9".to_owned()),
            ..Sight::starting(1)
        };
        let waiting = |id| Sight {
            leader: None,
            ..ready(id, 0)
        };
        let between = [gone.clone(), waiting(2), waiting(3)];
        assert_eq!(
            news(&before, &between),
            [
                "node 1 has ended (signal: 9); it is not started again",
                "no node leads: persistent writes are refused"
            ]
        );
        let seen_dead = |id| Sight {
            dead: vec![1],
            ..ready(id, 2)
        };
        assert_eq!(
            news(&between, &[gone, seen_dead(2), seen_dead(3)]),
            [
                "node 2 leads",
                "node 2 counts member 1 as dead",
                "node 3 counts member 1 as dead"
            ]
        );
    }

    #[test]
    fn a_node_started_again_by_hand_is_ready_again() {
        let gone = Sight {
            process: Process::Ended("exit status: 0".to_owned()),
            ..Sight::starting(1)
        };
        let back = Sight {
            process: gone.process.clone(),
            ..ready(1, 2)
        };
        assert_eq!(news(&[gone, ready(2, 2)], &[back, ready(2, 2)]), ["node 1 is ready"]);
    }
}
