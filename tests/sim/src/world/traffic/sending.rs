//! What is sent, what becomes of it on its way, and calls that end without an answer.

use super::{Arrival, Asked, Calling, Way};
use crate::clients::PushedList;
use crate::doors::list_of;
use crate::facts::{Fact, Run};
use crate::network::{Fate, Place, Posted};
use crate::requests::{Reply, Request, RequestId};
use crate::world::World;
use bytes::Bytes;
use muster_model::{ConnectionId, MemberId};
use muster_push::Target;
use muster_transport::Error;

/// The members' transport gives a connection up that is silent for 1 s and then 1.5 s more: calls on it have no answer.
const BROKEN_AFTER_MS: u64 = 2_500;

impl World {
    pub(super) fn next_request(&mut self) -> RequestId {
        self.traffic.requests_made += 1;
        RequestId(self.traffic.requests_made)
    }

    pub(in crate::world) fn send_request(
        &mut self,
        client: usize,
        id: RequestId,
        to: MemberId,
        request: Request,
        late_ms: u64,
    ) {
        let asked = Asked {
            client,
            of: to,
            connection: request.connection(),
        };
        self.traffic.requests.insert(id, asked);
        let arrival = Arrival::Request {
            to,
            client,
            id,
            request,
        };
        if let Some(way) = asked.way(false) {
            self.stream(way, arrival);
        } else if let Some(at_ms) = self.arrival_ms(client, to) {
            self.traffic.travelling.send(at_ms + late_ms, arrival);
        }
    }

    /// When something that a client sends now arrives, if it does.
    pub(super) fn arrival_ms(&mut self, client: usize, to: MemberId) -> Option<u64> {
        match self.field.links.fate(Place::Client(client), Place::Member(to)) {
            Fate::Arrives { after_ms, .. } => Some(self.field.now_ms + after_ms),
            Fate::Lost => None,
        }
    }

    pub(super) fn send_reply(&mut self, from: MemberId, id: RequestId, reply: Reply) {
        let Some(&asked) = self.traffic.requests.get(&id) else {
            return;
        };
        let client = asked.client;
        if let Reply::Connected(connection) = &reply {
            self.traffic.connections.insert((from, *connection), client);
        }
        if let Some(way) = asked.way(true) {
            self.stream(way, Arrival::Reply { id, reply });
        } else if let Fate::Arrives { after_ms, .. } = self.field.links.fate(Place::Member(from), Place::Client(client))
        {
            self.traffic
                .travelling
                .send(self.field.now_ms + after_ms, Arrival::Reply { id, reply });
        }
    }

    pub(super) fn send_answer(&mut self, from: MemberId, call: u64, result: Result<Bytes, Error>) {
        let Some(calling) = self.traffic.calls.get(&call) else {
            return;
        };
        let fate = self
            .field
            .links
            .fate(Place::Member(from), Place::Member(calling.caller));
        if let Fate::Arrives { after_ms, .. } = fate {
            self.traffic
                .travelling
                .send(self.field.now_ms + after_ms, Arrival::Answer { call, result });
        }
    }

    pub(in crate::world) fn posted(&mut self, run: Run, posted: Posted) {
        let now_ms = self.field.now_ms;
        match posted {
            Posted::Call {
                from,
                to,
                route,
                body,
                within,
                answer,
            } => {
                self.traffic.calls_made += 1;
                let call = self.traffic.calls_made;
                let calling = Calling {
                    caller: from,
                    callee: to,
                    answer,
                    made_ms: now_ms,
                    gone_ms: now_ms + within.as_millis() as u64 + 10,
                };
                self.traffic.calls.insert(call, calling);
                if let Fate::Arrives {
                    after_ms,
                    again_after_ms,
                } = self.field.links.fate(Place::Member(from), Place::Member(to))
                {
                    let arrival = || Arrival::Call {
                        to,
                        call,
                        from,
                        route,
                        body: body.clone(),
                    };
                    self.traffic.travelling.send(now_ms + after_ms, arrival());
                    if let Some(again_after_ms) = again_after_ms {
                        self.traffic.travelling.send(now_ms + again_after_ms, arrival());
                    }
                }
            }
            Posted::Answered { call, result } => self.send_answer(run.member, call, result),
            Posted::Replied { request, reply } => self.send_reply(run.member, request, reply),
            Posted::Pushed { delivery } => self.push(run, *delivery),
            Posted::Detects { connection } => {
                self.tell_client(run.member, connection, |from, client| Arrival::Detects {
                    from,
                    client,
                    connection,
                });
            }
            Posted::Closes { connection } => {
                self.tell_client(run.member, connection, |from, client| Arrival::Closes {
                    from,
                    client,
                    connection,
                });
                self.traffic.connections.remove(&(run.member, connection));
            }
            Posted::Noted(fact) => {
                self.field
                    .trace
                    .note("fact", &[run.member.0], || format!("at {}: {fact:?}", run.member));
                self.facts.take(run, fact, now_ms);
            }
        }
    }

    fn tell_client(&mut self, from: MemberId, connection: ConnectionId, arrival: impl Fn(MemberId, usize) -> Arrival) {
        let Some(&client) = self.traffic.connections.get(&(from, connection)) else {
            return;
        };
        let way = Way {
            member: from,
            connection,
            client,
            to_client: true,
        };
        self.stream(way, arrival(from, client));
    }

    fn push(&mut self, run: Run, delivery: muster_push::Delivery) {
        let Some(service) = self.plan.service_of(&delivery.key.service) else {
            return;
        };
        let list = list_of(service, &delivery.snapshot);
        let target = delivery.key.target;
        self.facts.take(
            run,
            Fact::Shown {
                to: target,
                list: list.clone(),
            },
            self.field.now_ms,
        );
        let (client, connection) = match target {
            Target::Udp(address) => (crate::clients::subscriber_of(address.port()), None),
            Target::Connection { id, .. } => match self.traffic.connections.get(&(run.member, id)) {
                Some(client) => (*client, Some(id)),
                None => return,
            },
        };
        let pushed = PushedList {
            list,
            token: delivery.token,
            connection,
        };
        let copies = match connection {
            Some(_) => 1,
            None if self.traffic.datagrams.chance(self.plan.datagrams_lost_per_mille) => 0,
            None if self.traffic.datagrams.chance(self.plan.datagrams_lost_per_mille) => 2,
            None => 1,
        };
        self.field
            .trace
            .note("push", &[run.member.0, client as u64, copies], || {
                format!(
                    "{} -> client {client}, {copies} copies of {:?}",
                    run.member, pushed.list
                )
            });
        if let Some(connection) = connection {
            let way = Way {
                member: run.member,
                connection,
                client,
                to_client: true,
            };
            let (from, pushed) = (run.member, Box::new(pushed));
            return self.stream(way, Arrival::Pushed { from, client, pushed });
        }
        for _ in 0..copies {
            let fate = self.field.links.fate(Place::Member(run.member), Place::Client(client));
            let Fate::Arrives { after_ms, .. } = fate else { continue };
            let mut at_ms = self.field.now_ms + after_ms;
            if self.traffic.datagrams.chance(self.plan.datagrams_lost_per_mille) {
                at_ms += self.traffic.datagrams.between(20, 400);
            }
            self.traffic.travelling.send(
                at_ms,
                Arrival::Pushed {
                    from: run.member,
                    client,
                    pushed: Box::new(pushed.clone()),
                },
            );
        }
    }

    /// Ends calls whose connection is broken: by a link that is bad or was, or by an end that stopped or stands still.
    pub(in crate::world) fn expire(&mut self) {
        let now_ms = self.field.now_ms;
        if !now_ms.is_multiple_of(100) {
            return;
        }
        self.traffic.calls.retain(|_, calling| calling.gone_ms > now_ms);
        let field = &self.field;
        let broken = |calling: &Calling| {
            let ends = (Place::Member(calling.caller), Place::Member(calling.callee));
            let sound = field.links.sound_since(ends.0, ends.1);
            let stopped = field
                .node(calling.callee)
                .is_none_or(|node| node.moves().is_none() || node.changed_ms > calling.made_ms);
            stopped || sound.is_none_or(|since_ms| since_ms > calling.made_ms)
        };
        let due = |calling: &Calling| now_ms >= calling.made_ms + BROKEN_AFTER_MS && broken(calling);
        let ended: Vec<(u64, MemberId)> = self
            .traffic
            .calls
            .iter()
            .filter(|(_, calling)| due(calling))
            .map(|(call, calling)| (*call, calling.callee))
            .collect();
        for (call, member) in ended {
            let result = Err(Error::NoAnswer {
                member,
                reason: "the connection broke".into(),
            });
            self.arrive(Arrival::Answer { call, result });
        }
    }
}
