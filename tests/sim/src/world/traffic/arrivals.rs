//! What has arrived, and what it does where it arrives.

use super::{Arrival, Asked, Way};
use crate::network::Posted;
use crate::requests::{Reply, Request, RequestId};
use crate::trace::hash_of;
use crate::world::{Node, World};
use bytes::Bytes;
use muster_model::MemberId;
use muster_push::Target;
use muster_transport::{Error, HandlerError, Route};

impl World {
    pub(in crate::world) fn deliver(&mut self) {
        let now_ms = self.field.now_ms;
        for index in 0..self.field.nodes.len() {
            let id = self.field.nodes[index].id();
            if self.field.nodes[index].paused_ms.is_none()
                && let Some(arrivals) = self.traffic.waiting.remove(&id)
            {
                for arrival in arrivals {
                    self.arrive(arrival);
                }
            }
        }
        while let Some(arrival) = self.traffic.travelling.next(now_ms) {
            self.arrive(arrival);
        }
    }

    pub(super) fn arrive(&mut self, arrival: Arrival) {
        let to = match &arrival {
            Arrival::Call { to, .. } | Arrival::Request { to, .. } => Some(*to),
            Arrival::Answer { call, .. } => self.traffic.calls.get(call).map(|calling| calling.caller),
            Arrival::Ack { to, .. } => Some(to.member),
            _ => None,
        };
        if let Some(to) = to
            && let Some(node) = self.field.node(to)
            && node.paused_ms.is_some()
        {
            self.traffic.waiting.entry(to).or_default().push(arrival);
            return;
        }
        match arrival {
            Arrival::Call {
                to,
                call,
                from,
                route,
                body,
            } => self.arrive_call(to, call, from, route, body),
            Arrival::Answer { call, result } => {
                if let Some(calling) = self.traffic.calls.remove(&call) {
                    let _ = calling.answer.send(result);
                }
            }
            Arrival::Request {
                to,
                client,
                id,
                request,
            } => self.arrive_request(to, client, id, request),
            Arrival::Reply { id, reply } => {
                if let Some(Asked { client, of, .. }) = self.traffic.requests.remove(&id) {
                    self.field
                        .trace
                        .note("reply", &[id.0], || format!("{} from {of}: {reply:?}", id.0));
                    self.with_client(client, |client, hands| client.hear(id, reply, hands));
                }
            }
            Arrival::Pushed { from, client, pushed } => {
                let now_ms = self.field.now_ms;
                let acks = self.clients[client].pushed(from, &pushed, now_ms);
                let target = match pushed.connection {
                    Some(id) => Target::Connection {
                        id,
                        peer: ([10, 8, 0, 1], 1_000).into(),
                    },
                    None => Target::Udp(([10, 8, 0, 1], crate::clients::subscriber_port(client)).into()),
                };
                let run = self
                    .field
                    .node(from)
                    .and_then(|node| node.running.as_ref())
                    .map(|running| running.run);
                let (Some(to), true) = (run, acks) else { return };
                let token = pushed.token;
                let ack = Arrival::Ack { to, token, target };
                if let Some(connection) = pushed.connection {
                    let way = Way {
                        member: from,
                        connection,
                        client,
                        to_client: false,
                    };
                    self.stream(way, ack);
                } else if !self.traffic.datagrams.chance(self.plan.datagrams_lost_per_mille)
                    && let Some(at_ms) = self.arrival_ms(client, from)
                {
                    self.traffic.travelling.send(at_ms, ack);
                }
            }
            Arrival::Ack { to, token, target } => {
                let node = self.field.node(to.member);
                if let Some(running) = node.and_then(Node::moves).filter(|running| running.run == to) {
                    running.within(|parts| match target {
                        Target::Udp(from) => parts.core.push.acked(token, from),
                        Target::Connection { id, .. } => parts.core.push.acked_by(token, id),
                    });
                }
            }
            Arrival::Detects {
                from,
                client,
                connection,
            } => {
                if self.clients[client].asked(from, connection) {
                    let id = self.next_request();
                    let request = Request::Alive(connection);
                    self.send_request(client, id, from, request, 0);
                }
            }
            Arrival::Resent(way) => self.send_stuck(way),
            Arrival::Closes {
                from,
                client,
                connection,
            } => {
                let now_ms = self.field.now_ms;
                self.clients[client].closed(from, connection, now_ms);
            }
        }
    }

    fn arrive_call(&mut self, to: MemberId, call: u64, from: MemberId, route: Route, body: Bytes) {
        self.field
            .trace
            .note("call", &[from.0, to.0, route as u64, call, hash_of(&body)], || {
                format!("{from} -> {to} {route:?} #{call}, {} bytes", body.len())
            });
        let Some(running) = self.field.node(to).and_then(Node::moves) else {
            // A machine that runs refuses for a process that does not; one that is off says nothing.
            if self.field.random.chance(500) {
                let result = Err(Error::Unreachable {
                    member: to,
                    reason: "connection refused".into(),
                });
                self.send_answer(to, call, result);
            }
            return;
        };
        let wire = self.field.wire.clone();
        running.serve_call(from, route, body, move |result| {
            let result = result.map_err(|error| match error {
                HandlerError::NotReady => Error::NotReady(to),
                HandlerError::Failed(text) => Error::Failed { member: to, text },
            });
            wire.post(Posted::Answered { call, result });
        });
    }

    fn arrive_request(&mut self, to: MemberId, client: usize, id: RequestId, request: Request) {
        self.field.trace.note("request", &[client as u64, to.0, id.0], || {
            format!("client {client} -> {to} {} {request:?}", id.0)
        });
        match self.field.node(to).and_then(Node::moves) {
            Some(running) => running.serve_request(id, request),
            None => {
                if self.field.random.chance(700) {
                    self.send_reply(to, id, Reply::NoListener);
                }
            }
        }
    }
}
