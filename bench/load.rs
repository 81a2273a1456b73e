//! The load client: one thread, one epoll, any number of connections; closed loop or open loop.

use crate::answer::Progress;
use crate::connection::{Connection, Route};
use crate::histogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

/// The timer's name among the events.
const TIMER: u64 = u64::MAX;
/// Failures after which a run stops.
const MOST_ERRORS: u64 = 100;

/// When calls begin, and on which connections.
#[derive(Clone, Copy)]
pub(crate) enum Pace {
    /// A connection sends its next call when it has the answer to the last.
    Closed,
    /// Calls begin at fixed times, so many a second, whether or not earlier ones are done.
    Open(u32),
    /// Like `Closed`, with a new connection for every call.
    Fresh,
    /// One call on each connection.
    Once,
}

/// What a run gave.
pub(crate) struct Load {
    /// In an open loop from the time a call was due.
    pub(crate) latencies: Histogram,
    /// Calls that failed.
    pub(crate) errors: u64,
    /// The first failure.
    pub(crate) failure: Option<String>,
    elapsed: Duration,
    /// The connections, still open.
    pub(crate) kept: Vec<Connection>,
}

impl Load {
    /// Calls over `connections` connections for a time; connection number n takes the route n, and so on around.
    pub(crate) fn run(routes: &[Route], connections: usize, pace: Pace, time: Duration) -> Self {
        Client::new(routes, connections, pace).and_then(|client| client.run(time)).expect("a load client")
    }

    /// Calls that worked.
    pub(crate) fn calls(&self) -> u64 {
        self.latencies.count()
    }

    /// Calls per second.
    pub(crate) fn rate(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }
}

struct Slot {
    connection: Connection,
    /// Which of the routes it takes.
    route: usize,
    /// Since when the call under way counts.
    under_way: Option<Instant>,
    due: VecDeque<Instant>,
}

struct Client<'a> {
    routes: &'a [Route],
    pace: Pace,
    epoll: OwnedFd,
    timer: OwnedFd,
    slots: Vec<Slot>,
    opened: usize,
    buffer: Vec<u8>,
    load: Load,
}

impl<'a> Client<'a> {
    fn new(routes: &'a [Route], connections: usize, pace: Pace) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // A timer of its own: a timeout of epoll may come up to a millisecond late.
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let load = Load {
            latencies: Histogram::default(),
            errors: 0,
            failure: None,
            elapsed: Duration::ZERO,
            kept: Vec::new(),
        };
        let buffer = vec![0; 64 << 10];
        let mut client = Self { routes, pace, epoll, timer, slots: Vec::new(), opened: 0, buffer, load };
        for index in 0..connections {
            let (connection, route) = client.open(index)?;
            client.slots.push(Slot { connection, route, under_way: None, due: VecDeque::new() });
        }
        Ok(client)
    }

    fn open(&mut self, index: usize) -> io::Result<(Connection, usize)> {
        let route = self.opened % self.routes.len();
        let connection = Connection::open(&self.routes[route])?;
        self.opened += 1;
        let events = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&self.epoll, connection.socket(), EventData::new_u64(index as u64), events)?;
        Ok((connection, route))
    }

    fn reopen(&mut self, index: usize) -> io::Result<()> {
        let (connection, route) = self.open(index)?;
        (self.slots[index].connection, self.slots[index].route) = (connection, route);
        Ok(())
    }

    fn run(mut self, time: Duration) -> io::Result<Load> {
        let begin = Instant::now();
        let end = begin + time;
        let mut calls_due = 0;
        if !matches!(self.pace, Pace::Open(_)) {
            (0..self.slots.len()).try_for_each(|index| self.ask(index, begin))?;
        }
        let mut events = Vec::with_capacity(256);
        loop {
            let next = match self.pace {
                Pace::Open(rate) => self.begin_due(begin, rate, &mut calls_due)?,
                Pace::Once if self.slots.iter().all(|slot| slot.under_way.is_none()) => break,
                Pace::Closed | Pace::Fresh | Pace::Once => end,
            };
            if Instant::now() >= end || self.load.errors >= MOST_ERRORS {
                break;
            }
            self.wake_at(next.min(end))?;
            events.clear();
            epoll::wait(&self.epoll, spare_capacity(&mut events), None)?;
            for event in events.drain(..) {
                let event: epoll::Event = event;
                if event.data.u64() == TIMER {
                    let _ = rustix::io::read(&self.timer, &mut [0; 8]);
                } else {
                    self.advance(event.data.u64() as usize, end)?;
                }
            }
        }
        self.load.elapsed = begin.elapsed();
        self.load.kept = self.slots.into_iter().map(|slot| slot.connection).collect();
        Ok(self.load)
    }

    /// Begins the calls that are due; gives when the next one is.
    fn begin_due(&mut self, begin: Instant, rate: u32, calls: &mut u32) -> io::Result<Instant> {
        loop {
            let due = begin + Duration::from_secs(1) / rate * *calls;
            let now = Instant::now();
            if due > now {
                return Ok(due);
            }
            let index = *calls as usize % self.slots.len();
            *calls += 1;
            if self.slots[index].under_way.is_some() {
                self.slots[index].due.push_back(due);
            } else {
                self.ask(index, due)?;
            }
        }
    }

    fn wake_at(&self, at: Instant) -> io::Result<()> {
        let wait = at.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let timer = Itimerspec { it_interval: zero, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        Ok(())
    }

    fn ask(&mut self, index: usize, since: Instant) -> io::Result<()> {
        let slot = &mut self.slots[index];
        slot.under_way = Some(since);
        slot.connection.ask(&self.routes[slot.route])?;
        self.advance(index, since + Duration::from_secs(3600))
    }

    fn advance(&mut self, index: usize, end: Instant) -> io::Result<()> {
        let slot = &mut self.slots[index];
        let progress = slot.connection.advance(&mut self.buffer);
        let Some(since) = slot.under_way else { return Ok(()) };
        match progress {
            Ok(Progress::Open) => return Ok(()),
            Ok(Progress::Done) => self.load.latencies.record(since.elapsed()),
            Err(error) => {
                self.load.errors += 1;
                self.load.failure.get_or_insert_with(|| error.to_string());
                if self.load.errors >= MOST_ERRORS {
                    return Ok(());
                }
                self.reopen(index)?;
            }
        }
        self.slots[index].under_way = None;
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        match self.pace {
            Pace::Once => Ok(()),
            Pace::Closed => self.ask(index, now),
            Pace::Open(_) => match self.slots[index].due.pop_front() {
                Some(due) => self.ask(index, due),
                None => Ok(()),
            },
            Pace::Fresh => {
                self.reopen(index)?;
                self.ask(index, now)
            }
        }
    }
}
