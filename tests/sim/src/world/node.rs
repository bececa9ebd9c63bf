//! One node: its disk, its clock, and while it runs a runtime of its own with all its parts.

use super::assembly::{self, Parts};
use crate::doors::Doors;
use crate::facts::Run;
use crate::network::{End, Wire};
use crate::requests::{Request, RequestId};
use bytes::Bytes;
use muster_model::{Member, MemberId};
use muster_runtime::Clock;
use muster_storage::testing::FaultyDisk;
use muster_transport::{Handler, HandlerError, Route};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Wall time at the beginning of the world: some day in 2026.
const WALL_START_MS: u64 = 1_790_000_000_000;

/// A member, running or not.
pub struct Node {
    pub member: Member,
    pub disk: FaultyDisk,
    founders: Vec<Member>,
    seed: u64,
    runs: u32,
    pub running: Option<Running>,
    pub skew_ms: i64,
    /// It stands still since then.
    pub paused_ms: Option<u64>,
    /// When it last started, stopped, stood still or went on.
    pub changed_ms: u64,
    /// It belongs to the group, as far as the world has arranged it.
    pub belongs: bool,
}

/// One run of a node.
pub struct Running {
    runtime: Runtime,
    pub run: Run,
    pub end: Arc<End>,
    pub doors: Arc<Doors>,
    clock: Clock,
    started: Arc<OnceLock<Result<Parts, String>>>,
    pub started_ms: u64,
    /// When the world first saw it answer clients.
    pub opened_ms: Option<u64>,
}

impl Node {
    pub fn new(member: Member, founders: Vec<Member>, seed: u64) -> Self {
        Self {
            disk: FaultyDisk::new(seed),
            belongs: founders.contains(&member),
            member,
            founders,
            seed,
            runs: 0,
            running: None,
            skew_ms: 0,
            paused_ms: None,
            changed_ms: 0,
        }
    }

    pub fn id(&self) -> MemberId {
        self.member.id
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    /// Runs and does not stand still.
    pub fn moves(&self) -> Option<&Running> {
        self.running.as_ref().filter(|_| self.paused_ms.is_none())
    }

    /// Runs, moves and answers clients.
    pub fn serves(&self) -> Option<&Running> {
        self.moves().filter(|running| running.doors.serves())
    }

    /// Starts the process anew on what is on its disk.
    pub fn start(&mut self, wire: &Wire, now_ms: u64) {
        assert!(self.running.is_none(), "one run at a time");
        self.runs += 1;
        let run = Run {
            member: self.id(),
            number: self.runs,
        };
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing");
        let clock = {
            let _context = runtime.enter();
            Clock::manual(WALL_START_MS + now_ms)
        };
        clock.set_skew_ms(self.skew_ms);
        let end = End::new(self.id(), wire.clone());
        let doors = Doors::new(run, wire.clone());
        let started: Arc<OnceLock<Result<Parts, String>>> = Arc::default();
        let joining = assembly::start(assembly::Given {
            member: self.member.clone(),
            founders: self.founders.clone(),
            disk: self.disk.mount(),
            clock: clock.clone(),
            transport: end.clone(),
            doors: doors.clone(),
        });
        let outcome = started.clone();
        runtime.spawn(async move {
            let parts = joining.await.map_err(|error| format!("{error:#}"));
            assert!(outcome.set(parts).is_ok(), "a run starts once");
        });
        self.changed_ms = now_ms;
        self.running = Some(Running {
            runtime,
            run,
            end,
            doors,
            clock,
            started,
            started_ms: now_ms,
            opened_ms: None,
        });
    }

    /// The process is gone from one instruction to the next. Its disk is as the kernel has it.
    pub fn kill(&mut self, now_ms: u64) {
        self.running = None;
        self.paused_ms = None;
        self.changed_ms = now_ms;
        self.disk.kill_process();
    }

    /// The machine loses its power: what was not synced survives or not.
    pub fn lose_power(&mut self, now_ms: u64) {
        self.kill(now_ms);
        self.disk.lose_power();
    }

    /// Its disk is empty from now on.
    pub fn wipe(&mut self) {
        self.disk = FaultyDisk::new(self.seed ^ u64::from(self.runs));
    }

    pub fn set_skew_ms(&mut self, skew_ms: i64) {
        self.skew_ms = skew_ms;
        if let Some(running) = &self.running {
            running.clock.set_skew_ms(skew_ms);
        }
    }
}

impl Running {
    /// Lets time pass on this node.
    pub fn step(&self, ms: u64) {
        self.runtime
            .block_on(async { tokio::time::sleep(Duration::from_millis(ms)).await });
    }

    /// Lets the time pass that it stood still for, at once.
    pub fn catch_up(&self, stood_still_ms: u64) {
        self.runtime
            .block_on(async { tokio::time::advance(Duration::from_millis(stood_still_ms)).await });
    }

    /// The parts, once they are joined.
    pub fn parts(&self) -> Option<&Parts> {
        self.started.get().and_then(|started| started.as_ref().ok())
    }

    /// Why it did not start, or cannot go on: the process ends then.
    pub fn failure(&self) -> Option<String> {
        match self.started.get()? {
            Err(error) => Some(error.clone()),
            Ok(parts) => parts.failure(),
        }
    }

    /// A call has arrived; `answer` posts what the handler says.
    pub fn serve_call(
        &self,
        from: MemberId,
        route: Route,
        body: Bytes,
        answer: impl FnOnce(Result<Bytes, HandlerError>) + Send + 'static,
    ) {
        let handler: Option<Arc<dyn Handler>> = self.end.handler(route);
        self.runtime.spawn(async move {
            let result = match handler {
                Some(handler) => handler.handle(from, body).await,
                None => Err(HandlerError::NotReady),
            };
            answer(result);
        });
    }

    /// A client's request has arrived.
    pub fn serve_request(&self, id: RequestId, request: Request) {
        let (doors, clock) = (self.doors.clone(), self.clock.clone());
        self.runtime.spawn(doors.handle(id, request, clock));
    }

    /// Calls a part from outside its tasks, in the node's own time.
    pub fn within<T>(&self, call: impl FnOnce(&Parts) -> T) -> Option<T> {
        let parts = self.parts()?;
        let _context = self.runtime.enter();
        Some(call(parts))
    }
}
